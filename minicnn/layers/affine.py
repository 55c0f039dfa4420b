"""What Dense and Conv2D share: a kernel, a bias, and an activation on what they make of x."""

from typing import Any

from minicnn import activations, constraints, initializers, regularizers
from minicnn.layers import arguments
from minicnn.layers.input_check import check_last_axis
from minicnn.layers.layer import Layer
from minicnn.layers.shapes import Shape
from minicnn.variable import Variable


class AffineLayer(Layer):
    """y = activation(x combined with the kernel + bias); the subclass says how they combine.

    Args:
        activation: applied to the output: "relu", a function of a tensor; None leaves it as it is.
        use_bias: whether a number of its own is added to each output channel.
        kernel_initializer: makes the first kernel.
        bias_initializer: makes the first bias.
        kernel_regularizer: makes a penalty from the kernel, which is added to the loss: "l2".
        bias_regularizer: the same for the bias.
        kernel_constraint: maps a kernel (an array) to an allowed one after each update:
            "max_norm".
        bias_constraint: the same for the bias.
        **keywords: name, trainable, dtype, activity_regularizer, input_shape; see Layer.

    Raises:
        ValueError: an activation, initializer or regularizer is unknown.
        TypeError: a setting is of the wrong kind.
    """

    kernel: Variable
    bias: Variable | None

    def __init__(
        self,
        *,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        who = type(self).__name__
        self.activation = activations.get(activation)
        self.use_bias = arguments.truth_value(who, "use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = arguments.constraint(who, "kernel_constraint", kernel_constraint)
        self.bias_constraint = arguments.constraint(who, "bias_constraint", bias_constraint)

    def make_kernel_and_bias(
        self, kernel_shape: tuple[int, ...], channels: int | None = None
    ) -> None:
        """Make the weights, for outputs of so many channels; None: the last size of the kernel."""
        self.kernel = self.add_weight(
            kernel_shape,
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (kernel_shape[-1] if channels is None else channels,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if the last axis differs from that which the kernel was made for."""
        if self.built:
            check_last_axis(self.title, shape, self.input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights."""
        return {
            **super().get_config(),
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }
