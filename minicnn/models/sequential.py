"""Sequential: a chain of layers, the output of each being the input of the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minicnn.autograd import Tensor
from minicnn.layers import InputLayer, Layer
from minicnn.layers.calls import Call
from minicnn.layers.names import automatic_name
from minicnn.layers.pipeline import Pipeline
from minicnn.layers.shapes import Shape
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.models.arranging import one_array
from minicnn.models.checks import check_shape, fits
from minicnn.models.model import Model
from minicnn.models.serialization import deserialize_keras_object, serialize_keras_object
from minicnn.registry import custom_object_scope


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
        layers: Iterable[Layer | SymbolicTensor] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(trainable=trainable, name=name)
        self._layers: list[Layer] = []  # without the Input
        self._pipeline = Pipeline(self._layers)
        self._tensors: list[SymbolicTensor] = []  # the input, and behind each layer, if known
        if isinstance(layers, Layer | str) or not isinstance(layers, Iterable | None):
            raise TypeError(f"Sequential: wants a list of layers, but got {layers!r}.")
        for layer in layers or ():
            self._append(layer)
        self._note_built()
        if not trainable:
            self.trainable = False

    def add(self, layer: Layer | SymbolicTensor) -> None:
        """Append a layer.

        Raises:
            TypeError: it is no layer.
            ValueError: there is a layer of its name, or it cannot take what the last layer gives.
        """
        self._append(layer)
        self._note_built()

    def _append(self, layer: Any) -> None:
        if isinstance(layer, SymbolicTensor) and layer.node.is_input:
            layer = layer.node.layer
        self._check_new(layer)
        if isinstance(layer, InputLayer):
            self._begin(layer)
            return
        shape = layer.input_shape if layer.built else layer.declared_input_shape
        if not self._tensors and shape is not None:
            self._begin(InputLayer(batch_shape=shape, dtype=layer.dtype))
        if self._tensors:
            self._connect_layer(layer)
        self._layers.append(layer)
        self.forget_shapes_of_labels()

    def _begin(self, layer: InputLayer) -> None:
        self.declared_input_shape = layer.batch_shape
        self._tensors = [layer.output]

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
        if isinstance(layer, InputLayer) and (self._layers or self._tensors):
            raise ValueError(f"{self.title}: an Input can only be the first entry.")
        if layer in self._layers:
            raise ValueError(
                f"{self.title}: {layer.title} is in it already. Make a second object for a second "
                f"layer of this kind."
            )
        if any(known.name == layer.name for known in self._layers):
            raise ValueError(
                f"{self.title}: two layers cannot have one name, {layer.name!r}. Give the new one "
                f"another: name='...'."
            )

    def pop(self) -> Layer:
        """Take the last layer off, and return it.

        Raises:
            ValueError: there is none.
        """
        if not self._layers:
            raise ValueError(f"{self.title}: has no layer to take off.")
        layer = self._layers.pop()
        del self._tensors[len(self._layers) + 1 :]
        self.forget_shapes_of_labels()
        if not self._layers:
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
        if not self._layers:
            raise ValueError(f"{self.title}: has no layers. Add some before it is built or used.")
        if self.built:
            self.check_input(self.input_shape if input_shape is None else tuple(input_shape))
            return
        if input_shape is None:
            raise ValueError(
                f"{self.title}: does not know the shape of its inputs. Give it with the batch "
                f"axis: build((None, 32, 32, 3)); or begin the model with Input((32, 32, 3))."
            )
        shape = (None, *input_shape[1:])
        self._begin(InputLayer(batch_shape=shape, dtype=self._layers[0].dtype))
        try:
            for layer in self._layers:
                self._connect_layer(layer)
        except ValueError:
            self.declared_input_shape, self._tensors = None, []  # to be tried with another shape
            raise
        self._note_built()

    def _note_built(self) -> None:
        if self._layers and self._tensors:
            automatic_name("Functional")  # Keras makes a functional model of it, and counts that
            self.built, self._built_for = True, self._tensors[0].shape

    def _connect_layer(self, layer: Layer) -> None:
        """Call the next layer with the symbolic output of the last one, which makes its weights."""
        was_built = layer.built
        try:
            self._tensors.append(layer(self._tensors[-1]))
        except ValueError as error:
            raise ValueError(f"{error} {self._shapes_so_far()}") from error
        if not was_built:
            for weight in layer.weights:
                weight.path = f"{self.name}/{weight.path}"

    def _shapes_so_far(self) -> str:
        names = ["input", *(layer.name for layer in self._layers)]
        steps = zip(names, self._tensors, strict=False)
        return f"Shapes so far: {', '.join(f'{name} {x.shape}' for name, x in steps)}."

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a model again, without its weights."""
        begin = [self._tensors[0].node.layer] if self._tensors else []
        layers = [serialize_keras_object(layer) for layer in [*begin, *self._layers]]
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        config["layers"] = layers
        if self._tensors:
            config["build_input_shape"] = self._tensors[0].shape
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """Make a model, with new weights, from what get_config returned, here or in Keras.

        Args:
            config: the configuration.
            custom_objects: classes and functions of the user's own, by name.

        Raises:
            ValueError: it is broken, or names a class that is not known.
        """
        with custom_object_scope(custom_objects or {}):
            layers = [deserialize_keras_object(entry) for entry in config["layers"]]
        model = cls(layers, name=config.get("name"))
        shape = config.get("build_input_shape")
        if not model.built and shape:
            model.build(tuple(shape))
        return model

    def names_of_outputs(self) -> str:
        """The model has one output."""
        return self.name

    def _arranged(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        return (
            one_array("x", x),
            one_array("y", y),
            one_array("sample_weight", sample_weight),
        )

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        return self._pipeline(x, training)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if the model cannot take inputs of this shape."""
        if not fits(shape, self.input_shape):
            check_shape(self.title, shape, self.input_shape)

    def calls_of_parts(self, input_shape: Shape) -> list[Call]:
        """The calls of the layers, one after the other, for an input of this shape."""
        calls: list[Call] = []
        for layer in self._layers:
            given = calls[-1].output_shape if calls else input_shape
            calls.append(Call(layer, given, layer.compute_output_shape(given)))
        return calls

    @property
    def output_shape(self) -> Shape:
        """The shape of what the last layer gives, for inputs of `input_shape`."""
        return self._tensors[-1].shape if self.built else super().output_shape

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic tensor that the model begins with, in a list.

        Raises:
            AttributeError: the model is not built.
        """
        return [self._known_tensors("inputs")[0]]

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic tensor that the model ends with, in a list.

        Raises:
            AttributeError: the model is not built.
        """
        return [self._known_tensors("outputs")[-1]]

    @property
    def input(self) -> SymbolicTensor:
        """The symbolic tensor that the model begins with."""
        return self._known_tensors("input")[0]

    @property
    def output(self) -> SymbolicTensor:
        """The symbolic tensor that the model ends with."""
        return self._known_tensors("output")[-1]

    def _known_tensors(self, wanted: str) -> list[SymbolicTensor]:
        if not self.built:
            raise AttributeError(
                f"{self.title}: has no symbolic {wanted} yet. Begin it with Input(shape), or build "
                f"it: build((None, 32, 32, 3))."
            )
        return self._tensors

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Tell the shape of the output for a shape of the input, both with their batch axis."""
        for layer in self._layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape
