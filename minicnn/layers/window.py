"""The window of a convolution or a pooling layer: does it fit, and where does it stand?"""

from typing import NamedTuple

from minicnn.layers.shapes import Pair, Shape


class Window(NamedTuple):
    """A window of P x Q pixels that moves over an image.

        valid: I = (H - P) // s + 1       same: I = H / s, rounded up

        where P counts the gaps of a dilated window: (P - 1) * d + 1.

    >>> Window((3, 3), (2, 2), "same").counts((None, 5, 8, 3))
    (3, 4)
    """

    size: Pair
    strides: Pair
    padding: str
    dilation: Pair = (1, 1)

    @property
    def spread(self) -> Pair:
        """Rows and columns from the first to the last pixel of the window, gaps included."""
        (P, Q), (d, e) = self.size, self.dilation
        return (P - 1) * d + 1, (Q - 1) * e + 1

    def counts(self, image: Shape) -> Shape:
        """Rows I and columns J of places where the window stands; None if unknown."""
        _, H, W, _ = image
        (P, Q), (s, t) = self.spread, self.strides
        return self._count(H, P, s), self._count(W, Q, t)

    def check_fit(self, title: str, image: Shape) -> None:
        """Check that the window stands somewhere.

        Raises:
            ValueError: it is larger than the image, and nothing is padded.
        """
        _, H, W, _ = image
        P, Q = self.spread
        if self.padding == "same" or (P <= (H or P) and Q <= (W or Q)):
            return
        gaps = "" if self.dilation == (1, 1) else f", dilated by {self.dilation},"
        raise ValueError(
            f"{title} [MC004]: a window of {P} x {Q}{gaps} does not fit into images of {H} x {W} "
            f"(input shape {image}). Use padding='same', a smaller window, or shrink the images "
            f"less in the layers before."
        )

    def _count(self, size: int | None, window: int, stride: int) -> int | None:
        if size is None:
            return None
        return -(-size // stride) if self.padding == "same" else (size - window) // stride + 1
