"""The layers that every network has: Input, Dense, Activation."""

from typing import Any

from minicnn import activations, ops
from minicnn.autograd import Tensor
from minicnn.backend import floatx
from minicnn.layers import arguments
from minicnn.layers.affine import AffineLayer
from minicnn.layers.input_check import check_features, known_channels, size_of_sample
from minicnn.layers.layer import Layer
from minicnn.layers.node import Node
from minicnn.layers.shapes import Shape
from minicnn.layers.symbolic import SymbolicTensor


class InputLayer(Layer):
    """Says what the inputs of a model look like; hands them on as they are.

    Its `output` is the symbolic tensor that Input(...) returns.

    Args:
        shape: of one input, without the batch axis: (32, 32, 3).
        batch_size: number of inputs in a batch; None for any.
        dtype: see Layer.
        name: see Layer.
        batch_shape: the shape with its batch axis, in place of shape and batch_size.

    Raises:
        ValueError: there is no shape, or two.
        TypeError: a shape is no tuple of integers.

    >>> InputLayer((32, 32, 3)).batch_shape
    (None, 32, 32, 3)
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        name: str | None = None,
        batch_shape: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(dtype=dtype or floatx(), name=name, **keywords)
        if (shape is None) == (batch_shape is None):
            raise ValueError(
                "InputLayer: wants either shape=(32, 32, 3), without the batch axis, or "
                "batch_shape=(None, 32, 32, 3), with it."
            )
        if batch_shape is None:
            shape = arguments.shape("InputLayer", "shape", shape)
            batch_shape = (batch_size, *shape)
        self.batch_shape = arguments.shape("InputLayer", "batch_shape", batch_shape)
        self.build(self.batch_shape)
        Node(self, (), {}, SymbolicTensor(self.batch_shape, self.dtype, self.name))

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not the one that was declared."""
        pairs = zip(shape, self.batch_shape, strict=False)
        if len(shape) != len(self.batch_shape) or any(
            None not in (came, wanted) and came != wanted for came, wanted in pairs
        ):
            hint = "Give the model inputs of that shape, or declare this one."
            if shape == self.batch_shape[1:]:
                hint = "One input only? Add the batch axis: x[None]."
            raise ValueError(
                f"{self.title}: wants shape {self.batch_shape}, but got {shape}. {hint}"
            )

    def call(self, x: Tensor) -> Tensor:
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        config = {**super().get_config(), "batch_shape": self.batch_shape}
        del config["trainable"]  # as Keras has it
        return config

    def get_further_config(self) -> dict[str, Any]:
        """Nothing: the shape is an argument."""
        return {}


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    name: str | None = None,
    batch_shape: Any = None,
) -> SymbolicTensor:
    """Say what the inputs of a model look like.

    Args:
        shape: of one input, without the batch axis: (32, 32, 3).
        batch_size: number of inputs in a batch; None for any.
        dtype: see Layer.
        name: of the input; None counts: "input_layer", "input_layer_1", ...
        batch_shape: the shape with its batch axis, in place of shape and batch_size.

    Returns:
        A symbolic tensor: the first entry of a Sequential, or what the first layers of a functional
        model are called with.

    >>> Input(shape=(28, 28, 1)).shape
    (None, 28, 28, 1)
    """
    layer = InputLayer(shape, batch_size, dtype, name, batch_shape)
    tensor: SymbolicTensor = layer.output
    return tensor


class Dense(AffineLayer):
    """Combine every input number with every output number: a matrix product.

        y[n,f] = activation(bias[f] + sum over c of  x[n,c] * kernel[c,f])

    Inputs with more axes are combined along their last: (N, H, W, C) becomes (N, H, W, F). Put
    Flatten before it to combine all numbers of an image.

    Args:
        units: number of outputs, F.
        activation: "relu", "softmax", ..., a function of a tensor; None leaves y as it is.
        use_bias: whether there is a bias.
        **keywords: initializers, regularizers and constraints of kernel and bias, see AffineLayer;
            name, trainable, dtype, input_shape, see Layer.

    Raises:
        ValueError: units is below 1, or a setting is unknown.
        TypeError: units is no integer.

    Weights: kernel (C, F), bias (F,).

    >>> import numpy as np
    >>> layer = Dense(10, activation="relu")
    >>> layer(np.ones((8, 784))).shape, layer.count_params()
    ((8, 10), 7850)
    """

    def __init__(
        self, units: int, activation: Any = None, use_bias: bool = True, **keywords: Any
    ) -> None:
        super().__init__(activation=activation, use_bias=use_bias, **keywords)
        self.units = arguments.whole_number("Dense", "units", units)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if `shape` is not (batch, ..., C)."""
        super().check_input(shape)
        check_features(self.title, shape)

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias for inputs of (batch, ..., C)."""
        self.check_input(input_shape)
        self.make_kernel_and_bias((known_channels(self.title, input_shape), self.units))
        super().build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])  # one matrix product for all
        fused = self.activation is activations.relu  # then the kernel cuts off what is below 0
        y = ops.linear(rows, self.kernel, self.bias, activation="relu" if fused else None)
        if x.ndim != 2:
            y = y.reshape(*x.shape[:-1], self.units)
        return y if fused else self.activation(y)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, ..., C) becomes (batch, ..., units)."""
        self.check_input(input_shape)
        return (*input_shape[:-1], self.units)

    def multiply_adds(self, input_shape: Shape) -> int:
        """C * F for each row of a sample."""
        y = size_of_sample(self.title, self.compute_output_shape(input_shape))
        return y * known_channels(self.title, input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights."""
        return {**super().get_config(), "units": self.units}


class Activation(Layer):
    """Apply an activation function to every number.

    Args:
        activation: "relu", "softmax", ..., or a function of a tensor.
        **keywords: see Layer.

    Raises:
        ValueError: there is no activation of this name.

    >>> import numpy as np
    >>> Activation("relu")(np.array([[-1.0, 2.0]]))
    Tensor([[0. 2.]])
    """

    def __init__(self, activation: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.activation = activations.get(activation)

    def call(self, x: Tensor) -> Tensor:
        return self.activation(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again."""
        return {**super().get_config(), "activation": activations.serialize(self.activation)}
