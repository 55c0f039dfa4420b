"""Convolutions of well-known networks, layer by layer; each shape once."""

from typing import NamedTuple

FLOAT = 4  # bytes


class Shape(NamedTuple):
    """A convolution of N square images, H pixels high, with C channels, by F filters of P x P.

    There are `border` zeros on all four sides. With `groups`, a filter sees C / groups channels.
    """

    N: int
    H: int
    C: int
    F: int
    P: int = 3
    s: int = 1
    border: int = 0
    groups: int = 1

    @property
    def I(self):  # noqa: E743
        """Rows of the output."""
        return (self.H + 2 * self.border - self.P) // self.s + 1

    @property
    def x(self):
        """Shape of the images."""
        return (self.N, self.H, self.H, self.C)

    @property
    def weight(self):
        """Shape of the filters."""
        return (self.P, self.P, self.C // self.groups, self.F)

    @property
    def y(self):
        """Shape of the output."""
        return (self.N, self.I, self.I, self.F)

    @property
    def flops(self):
        """Multiplications and additions, the same for all three maps."""
        return 2 * self.N * self.I**2 * self.F * self.P**2 * self.C // self.groups

    @property
    def bytes(self):
        """Images, filters and outputs: each map reads two of them and writes the third."""
        images, outputs = self.N * self.H**2 * self.C, self.N * self.I**2 * self.F
        return FLOAT * (images + outputs + self.P**2 * self.C // self.groups * self.F)

    def __str__(self):
        kind = "depthwise " if self.groups == self.C > 1 else ""
        stride = f" /{self.s}" if self.s > 1 else ""
        filters = "" if kind else f" -> {self.F}"
        return f"{self.H}x{self.H}x{self.C}{filters}, {kind}{self.P}x{self.P}{stride}"


def _same(N, H, C, F, P=3, s=1):
    return Shape(N, H, C, F, P, s, border=P // 2)


def _depthwise(N, H, C, s=1):
    return Shape(N, H, C, C, 3, s, border=1, groups=C)


def tutorial(N=64):
    """The tutorial CNN for 32 x 32 pixels."""
    return [Shape(N, 32, 3, 32), Shape(N, 15, 32, 64), Shape(N, 6, 64, 128)]


def resnet20(N=128):
    """ResNet-20 for 32 x 32 pixels."""
    return [
        _same(N, 32, 3, 16),
        _same(N, 32, 16, 16),
        _same(N, 32, 16, 32, s=2),
        _same(N, 16, 32, 32),
        _same(N, 16, 32, 64, s=2),
        _same(N, 8, 64, 64),
    ]


def vgg16(N=4):
    """VGG16 for 224 x 224 pixels; Simonyan and Zisserman 2014, arXiv:1409.1556."""
    sizes = [(224, 3, 64), (224, 64, 64), (112, 64, 128), (112, 128, 128), (56, 128, 256)]
    sizes += [(56, 256, 256), (28, 256, 512), (28, 512, 512), (14, 512, 512)]
    return [_same(N, *size) for size in sizes]


def resnet50(N=8):
    """ResNet-50 for 224 x 224 pixels, with the stride in the 3 x 3 window as in torchvision."""
    found = [_same(N, 224, 3, 64, P=7, s=2), _same(N, 56, 64, 64, P=1)]
    for H, width in ((56, 64), (28, 128), (14, 256), (7, 512)):
        if H < 56:  # the first block of a stage sees the larger images of the stage before
            found += [
                _same(N, 2 * H, 2 * width, width, P=1),
                _same(N, 2 * H, width, width, s=2),
                _same(N, 2 * H, 2 * width, 4 * width, P=1, s=2),
            ]
        found += [
            _same(N, H, 4 * width, width, P=1),
            _same(N, H, width, width),
            _same(N, H, width, 4 * width, P=1),
        ]
    return found


def mobilenet(N=8):
    """MobileNet for 224 x 224 pixels; Howard et al. 2017, arXiv:1704.04861."""
    return [_same(N, 224, 3, 32, s=2), *(shape for block in mobilenet_blocks(N) for shape in block)]


def mobilenet_blocks(N=8):
    """Its blocks: a depthwise convolution, and a 1 x 1 convolution of what comes out of it."""
    sizes = [(112, 32, 64, 1), (112, 64, 128, 2), (56, 128, 128, 1), (56, 128, 256, 2)]
    sizes += [(28, 256, 256, 1), (28, 256, 512, 2), (14, 512, 512, 1), (14, 512, 1024, 2)]
    sizes += [(7, 1024, 1024, 1)]
    return [(_depthwise(N, H, C, s), _same(N, H // s, C, F, P=1)) for H, C, F, s in sizes]


NETWORKS = {
    "tutorial": tutorial,
    "resnet20": resnet20,
    "vgg16": vgg16,
    "resnet50": resnet50,
    "mobilenet": mobilenet,
}
