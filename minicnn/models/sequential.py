"""Sequential: a chain of layers, the output of each being the input of the next."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from minicnn.autograd import Tensor, is_observed
from minicnn.layers import InputLayer, Layer
from minicnn.layers.beginning import Beginning
from minicnn.layers.fusion import call_together, go_together
from minicnn.layers.shapes import Shape
from minicnn.models.model import Model


class Sequential(Model):
    """A chain of layers.

    The weights are made as soon as the shape of the inputs is known: from an Input in front, from
    `input_shape` of the first layer, or from the first data that the model sees.

    Args:
        layers: the layers, or nothing: they can be added later.
        trainable: False freezes all layers.
        name: how summary() and files call it; None counts: "sequential", "sequential_1", ...

    Raises:
        TypeError: layers is not a list of layers.
        ValueError: two layers have one name, or one cannot take what the layer before it gives.

    >>> from minicnn import layers
    >>> model = Sequential([layers.Flatten(input_shape=(8, 8)), layers.Dense(10, name="scores")])
    >>> model.output_shape, model.count_params(), model.layers[-1].name
    ((None, 10), 650, 'scores')
    """

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        self.layers: list[Layer] = []  # without the Input
        self._shapes: list[Shape] = []  # of the inputs, and behind each layer; none if unknown
        self._beginning: Beginning | None = None  # as it was when inference last used it
        super().__init__(trainable=trainable, name=name)
        if isinstance(layers, Layer | str) or not isinstance(layers, Iterable | None):
            raise TypeError(f"Sequential: wants a list of layers, but got {layers!r}.")
        for layer in layers or ():
            self.add(layer)
        if not trainable:
            self.trainable = False

    def add(self, layer: Layer) -> None:
        """Append a layer.

        Raises:
            TypeError: it is no layer.
            ValueError: there is a layer of its name, or it cannot take what the last layer gives.
        """
        self._check_new(layer)
        if isinstance(layer, InputLayer):
            self._begin(layer.batch_shape)
            return
        if not self._shapes:
            self._begin(layer.input_shape if layer.built else layer.declared_input_shape)
        if self._shapes:
            self._build_layer(layer)
            self._note_built()
        self.layers.append(layer)
        self.forget_shapes_of_labels()

    def _begin(self, input_shape: Shape | None) -> None:
        self.declared_input_shape = input_shape
        self._shapes = [] if input_shape is None else [input_shape]

    def _check_new(self, layer: Any) -> None:
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise TypeError(
                f"{self.title}: {layer.__name__} is a class. Add an object of it: "
                f"{layer.__name__}(...)."
            )
        if not isinstance(layer, Layer):
            raise TypeError(
                f"{self.title}: wants layers, but got {layer!r} ({type(layer).__name__})."
            )
        if isinstance(layer, InputLayer) and (self.layers or self._shapes):
            raise ValueError(f"{self.title}: an Input can only be the first entry.")
        if layer in self.layers:
            raise ValueError(
                f"{self.title}: {layer.title} is in it already. Make a second object for a second "
                f"layer of this kind."
            )
        if any(known.name == layer.name for known in self.layers):
            raise ValueError(
                f"{self.title}: two layers cannot have one name, {layer.name!r}. Give the new one "
                f"another: name='...'."
            )

    def pop(self) -> Layer:
        """Take the last layer off, and return it.

        Raises:
            ValueError: there is none.
        """
        if not self.layers:
            raise ValueError(f"{self.title}: has no layer to take off.")
        layer = self.layers.pop()
        del self._shapes[len(self.layers) + 1 :]
        self.forget_shapes_of_labels()
        if not self.layers:
            self.built = False
        return layer

    def build(self, input_shape: Shape | None = None) -> None:
        """Make the weights of all layers.

        Args:
            input_shape: shape of the inputs with their batch axis: (None, 32, 32, 3); it can be
                left out if the model knows it.

        Raises:
            ValueError: there are no layers, the model was built for another shape, or a layer
                cannot take what the one before it gives.
        """
        if not self.layers:
            raise ValueError(f"{self.title}: has no layers. Add some before it is built or used.")
        if self.built:
            self.check_input(self.input_shape if input_shape is None else tuple(input_shape))
            return
        if input_shape is None:
            raise ValueError(
                f"{self.title}: does not know the shape of its inputs. Give it with the batch "
                f"axis: build((None, 32, 32, 3)); or begin the model with Input((32, 32, 3))."
            )
        self._begin((None, *input_shape[1:]))
        try:
            for layer in self.layers:
                self._build_layer(layer)
        except ValueError:
            self._begin(None)  # so that it can be tried again with another shape
            raise
        self._note_built()

    def _note_built(self) -> None:
        self.built, self._built_for = True, self._shapes[0]

    def _build_layer(self, layer: Layer) -> None:
        """Make the weights of the next layer, and note the shape of its output."""
        was_built = layer.built
        try:
            layer.ensure_built(self._shapes[-1])
            shape = layer.compute_output_shape(self._shapes[-1])
        except ValueError as error:
            raise ValueError(f"{error} {self._shapes_so_far()}") from error
        if not was_built:
            for weight in layer.weights:
                weight.path = f"{self.name}/{weight.path}"
        self._shapes.append(shape)

    def _shapes_so_far(self) -> str:
        steps = zip(["input", *(layer.name for layer in self.layers)], self._shapes, strict=False)
        return f"Shapes so far: {', '.join(f'{name} {shape}' for name, shape in steps)}."

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        rest = self.layers
        if not training and not is_observed():
            beginning = self._beginning_for(x)
            if beginning:
                x, rest = beginning(x), self.layers[beginning.count :]
        layers = pairwise([*rest, None])
        for layer, following in layers:
            assert layer is not None  # None stands only behind the last one
            if go_together(layer, following, x):
                x = call_together(layer, following, x, training)
                next(layers)  # the following one is done, too
            else:
                x = layer(x, training=training)
        return x

    def _beginning_for(self, x: Tensor) -> Beginning:
        if self._beginning is None or not self._beginning.holds(self.layers, x):
            self._beginning = Beginning(self.layers, x)
        return self._beginning

    @property
    def output_shape(self) -> Shape:
        """The shape of what the last layer gives, for inputs of `input_shape`."""
        return self._shapes[-1] if self.built else super().output_shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Tell the shape of the output for a shape of the input, both with their batch axis."""
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape
