"""Looking into a model: what its layers compute, and which gradients come back to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from minicnn.autograd import Tensor, grad, no_grad
from minicnn.layers import Layer
from minicnn.layers.calling import shapes_of
from minicnn.layers.nesting import parts_of
from minicnn.layers.structure import leaves, mapped, packed
from minicnn.models.batches import checked, converted
from minicnn.models.keywords import hints_at_misspelt_keywords
from minicnn.models.loop import as_numpy
from minicnn.models.training import Trainer


class Inspectable(Trainer):
    """A model that shows what happens in it; see Model."""

    @hints_at_misspelt_keywords
    def activations(self, x: Any) -> dict[str, Any]:
        """Compute what each layer makes of a batch of inputs, in inference.

        Args:
            x: the inputs of one batch.

        Returns:
            {name of a layer: array}, in the order in which they were computed; a list or dict of
            arrays for a layer that gives several. A layer in another one, as in a model that is a
            layer, is called "outer/inner". The second call of a layer is called "name[1]".

        Raises:
            ValueError: x does not fit to the model, is empty or holds a NaN.
            TypeError: x holds no numbers.
        """
        batch = converted(checked(self._arranged(x, None, None)[0], who="activations"))
        self.ensure_built(shapes_of(batch.x))
        with no_grad(), _noted(self) as outputs:
            self(batch.x)
        return {name: mapped(as_numpy, output) for name, output in outputs.items()}

    @hints_at_misspelt_keywords
    def gradients(
        self, x: Any, y: Any = None, sample_weight: Any = None, training: bool = False
    ) -> dict[str, Any]:
        """Compute the gradient of the loss with respect to what each layer gives.

        For a last layer with softmax or sigmoid, whose loss is computed from the numbers before
        the activation, it is the gradient for these: p - t, divided by the size of the batch, for
        probabilities p and a cross-entropy with one-hot labels t.

        Args:
            x: the inputs of one batch.
            y: its labels.
            sample_weight: how much each sample counts in the loss.
            training: whether layers behave as in training: then Dropout drops, and running averages
                move.

        Returns:
            {name of a layer: array}, as `activations` does, of the same shapes. The gradients for
            weights are grad(loss, model.trainable_weights).

        Raises:
            ValueError: the model is not compiled, or x and y do not fit to it.
            TypeError: x holds no numbers.
        """
        self._compiled("gradients")
        labels = not self.overrides("train_step")
        batch = self._ready_batch(x, y, sample_weight, "gradients", labels)
        inputs = mapped(lambda leaf: Tensor(leaf.astype(self.dtype), requires_grad=True), batch.x)
        with _noted(self) as outputs:
            y_pred = self(inputs, training=training)
        loss = self.compute_loss(batch.x, batch.y, y_pred, batch.weight, training=training)
        tensors = {name: leaves(output) for name, output in outputs.items()}
        found = _gradients_for([t for ts in tensors.values() for t in ts], loss)
        return {
            name: packed(outputs[name], [found[tensor] for tensor in ts])
            for name, ts in tensors.items()
        }


def _gradients_for(tensors: list[Tensor], loss: Tensor) -> dict[Tensor, Any]:
    """The gradients for `tensors`, or for their logits where the loss is computed from these."""
    pairs = [(t, t.logits if t.logits is not None else t) for t in tensors]
    wanted = list(dict.fromkeys(t for pair in pairs for t in pair if t.requires_grad))
    dys = dict(zip(wanted, (dy.numpy() for dy in grad(loss, wanted)), strict=True))
    found = {}
    for tensor, logits in pairs:
        dy = dys.get(tensor)
        if dy is None:
            dy = 0 * tensor.numpy()  # nothing that it is computed from has a gradient
        elif not dy.any():  # the loss does not read it, but perhaps its logits
            dy = dys.get(logits, dy)
        found[tensor] = dy
    return found


@contextmanager
def _noted(model: Layer) -> Iterator[dict[str, Any]]:
    """Open a block in which the outputs of all layers of a model are noted, by name."""
    found: dict[str, Any] = {}

    def note(path: str) -> Any:
        calls = 0

        def hook(layer: Layer, inputs: tuple[Any, ...], output: Any) -> None:
            nonlocal calls
            found[f"{path}[{calls}]" if calls else path] = output
            calls += 1

        return hook

    with ExitStack() as hooks:
        for path, layer in _with_paths(model, "", set()):
            hooks.enter_context(layer.register_forward_hook(note(path)))
        yield found


def _with_paths(layer: Layer, prefix: str, seen: set[Layer]) -> Iterator[tuple[str, Layer]]:
    """All parts of a layer and their parts, each once, with the names on the way to it."""
    for part in parts_of(layer):
        if part not in seen:
            seen.add(part)
            yield f"{prefix}{part.name}", part
            yield from _with_paths(part, f"{prefix}{part.name}/", seen)
