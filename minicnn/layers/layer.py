"""Layer: what all layers have in common - a name, weights, and the way they are called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn import initializers, regularizers
from minicnn.autograd import Tensor
from minicnn.backend import Array, check_device, dtype_policy, get_device, kernels, on_cpu
from minicnn.layers import arguments, calling, configs, hooks
from minicnn.layers.calls import Call, tried_calls
from minicnn.layers.hooks import Hookable
from minicnn.layers.limits import count_weight
from minicnn.layers.names import automatic_name, numbered
from minicnn.layers.nesting import layers_within, parts_of
from minicnn.layers.node import Node
from minicnn.layers.shapes import Shape, mapped_shapes
from minicnn.layers.structure import leaves
from minicnn.suggest import did_you_mean
from minicnn.variable import Variable

_ARRAYS = (Tensor, np.ndarray)  # what nearly every call is given


class Layer(Hookable):
    """A step of a network: it owns weights and computes an output from an input.

    A layer of your own needs up to four methods:

        __init__(self, ..., **keywords)     checks and stores its settings
        build(self, input_shape)            makes the weights, once the shape of the input is known
        call(self, x)                       computes the output with ops; call(self, x, training)
                                            if it works differently while the model learns
        get_config(self)                    returns the settings, so that it can be made again; it
                                            can be left out if these are numbers, words and lists

    A layer can hold other layers, its parts: as attributes, or in lists, tuples and dicts that are
    attributes. It owns their weights, and `trainable` and `losses` include them. Its call calls
    them, and they learn of `training` by themselves.

    Input and output may be lists, tuples or dicts of tensors; then shapes are lists, tuples or
    dicts of shapes. Symbolic tensors, as Input(shape) makes them, give symbolic tensors: that is
    how Model(inputs, outputs) learns what is connected with what.

    Args:
        name: how messages, summary() and files call it; None counts: "dense", "dense_1", ...
        trainable: whether training changes its weights.
        dtype: of weights and outputs, "float32" or "float64"; or "mixed_bfloat16", of which
            set_dtype_policy tells; None takes dtype_policy(), as a rule float32.
        activity_regularizer: makes a penalty from the output, which is added to the loss.
        input_shape: shape of one input, without the batch axis; for the first layer of a model.
        input_dim: the same for an input of one axis: 3 means (3,).

    Raises:
        ValueError: a keyword is unknown, or a setting is not one of the possible.
        TypeError: a setting is of the wrong kind.

    Differs from Keras: input_shape is taken without a warning.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")
    ...     def call(self, x):
    ...         return x * self.factor
    >>> layer = Scale(name="scale")
    >>> layer(np.ones((8, 3))).shape, layer.count_params(), layer.weights
    ((8, 3), 3, [<Variable path=scale/factor, shape=(3,), dtype=float32>])
    """

    call: Callable[..., Any]
    _made_by: functools.partial[Any]  # the class with the arguments of the constructor

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        layer = super().__new__(cls)
        layer._made_by = functools.partial(cls, *arguments, **keywords)
        return layer

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        activity_regularizer: Any = None,
        input_shape: Any = None,
        input_dim: int | None = None,
        **unknown: Any,
    ) -> None:
        who = type(self).__name__
        if unknown:
            raise ValueError(_unknown_keyword(type(self), next(iter(unknown))))
        self.name = automatic_name(who) if name is None else arguments.layer_name(who, name)
        self.dtype_policy = arguments.dtype_policy(who, dtype or dtype_policy())
        is_mixed = self.dtype_policy == arguments.MIXED
        self.dtype = "float32" if is_mixed else self.dtype_policy
        self.operands = "bfloat16" if is_mixed else "float32"  # of its products; kernels.precision
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.declared_input_shape = _declared_shape(who, input_shape, input_dim)
        self.built = False
        self._trainable = arguments.truth_value(who, "trainable", trainable)
        self._learned: list[Variable] = []  # weights that training changes, if trainable
        self._kept: list[Variable] = []  # weights that training never changes
        self._built_for: Shape | None = None
        self._fitting: Any = None  # the shape of the last input, which has been checked
        self.nodes: list[Node] = []  # its calls with symbolic tensors
        self.call_arguments = list(inspect.signature(self.call).parameters)
        self._wants_training = "training" in self.call_arguments
        self._has_parts = True  # or not: known once it is built
        self._call_losses: list[Tensor] = []  # what the last call has added
        self._losses_of: calling.Call | None = None  # and the outermost call in which it was

    def __setattr__(self, name: str, value: Any) -> None:
        if not callable(value) and inspect.isfunction(getattr(type(self), name, None)):
            raise AttributeError(
                f"{type(self).__name__} [MC052]: {name} is a method, which an assignment would "
                f"hide. Call it: {name}(...)."
            )
        super().__setattr__(name, value)
        if isinstance(value, Layer):
            super().__setattr__("_has_parts", True)  # also one that comes late

    def __call__(self, x: Any, *others: Any, training: bool | None = None, **keywords: Any) -> Any:
        """Compute the output, after making the weights if this is the first call.

        Args:
            x: the input, (batch, ...), or a list, tuple or dict of inputs; arrays are converted to
                the dtype of the layer.
            *others: further arguments of `call`; the first of them can also be `training`.
            training: whether the model is learning; Dropout, for one, does nothing otherwise. None
                means what the layer in whose call this happens was told.
            **keywords: further arguments of `call`.

        Returns:
            What `call` returns; symbolic tensors if x is symbolic.

        Raises:
            ValueError: x does not have the shape that the layer was built for.
            TypeError: x is no tensor or array of numbers.
        """
        if others or keywords or not isinstance(x, _ARRAYS):
            return calling.call_generally(self, (x, *others), keywords, training)
        x = self.as_input(x)
        self.ensure_built(x.shape)
        return self.called(training, {}, x)

    def called(self, training: bool | None, keywords: dict[str, Any], *given: Any) -> Any:
        """What `call` returns for tensors, once the layer is built for them."""
        if training is None:
            training = calling.inherited_training()
        if self._wants_training:
            keywords["training"] = training
        if self._call_losses:
            self._forget_former_losses()
        if not self._has_parts:
            y = self._computed(given, keywords)
        else:
            token = calling.begin_call(training)
            try:
                y = self._computed(given, keywords)
            finally:
                calling.end_call(token)
        if self.activity_regularizer is not None:
            for output in leaves(y):
                self.add_loss(self.activity_regularizer(output) / output.shape[0])
        return y

    def _computed(self, given: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """What `call` returns, its products being of the precision that the layer wants."""
        if kernels.precision.operands() == self.operands:
            return self._hooked_call(given, keywords)
        with kernels.precision.rounding_to(self.operands):
            return self._hooked_call(given, keywords)

    def _hooked_call(self, given: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        if self.hooks is not None or hooks.observers:
            return hooks.call_with_hooks(self, given, keywords)
        return self.call(*given, **keywords)

    def build(self, input_shape: Shape) -> None:
        """Make the weights. A layer without weights of its own does not override this.

        Parts that are not built in here are built by sending an input of zeros through `call`.

        Args:
            input_shape: shape of the input with its batch axis: (None, 32, 32, 3).
        """
        self.built, self._fitting = True, None
        self._built_for = mapped_shapes(tuple, input_shape)
        self._has_parts = bool(parts_of(self))

    def ensure_built(self, input_shape: Shape) -> None:
        """Build the layer if it is not built, and check that it can take inputs of this shape.

        Raises:
            ValueError: it cannot; the message says how to mend it.
        """
        if not self.built:
            shape = self.declared_input_shape or calling.any_batch(input_shape)
            self.build(shape)
            self.built = True  # here too: who writes a build may forget to call super().build
            self._built_for = shape
            self._has_parts = bool(parts_of(self))
            if self._has_parts:
                self._complete_parts(shape)
        if input_shape != self._fitting:  # nearly all batches of a training are alike
            self.check_input(input_shape)
            self._fitting = input_shape

    def _complete_parts(self, shape: Shape) -> None:
        """Build the parts that are not, and let them follow the layer in name and `trainable`."""
        if not all(part.built for part in parts_of(self)) and calling.are_known(shape):
            self._results_for(shape)
        if not self.trainable:
            self.trainable = False
        for weight in self.weights:
            if not weight.path.startswith(f"{self.name}/"):  # a Sequential has seen to that
                weight.path = f"{self.name}/{weight.path}"

    def _results_for(self, shape: Any) -> Any:
        """The shapes of what `call` returns for an input of zeros; nothing else stays of it."""
        return calling.shapes_of_results(self, (calling.placeholders(shape, self.dtype),), {})

    def forget_losses(self) -> None:
        """Forget what the last call has added to the losses, in the parts as well."""
        self._call_losses = []
        for part in parts_of(self):
            part.forget_losses()

    def _forget_former_losses(self) -> None:
        """Begin anew, unless the outermost call is still the one that the losses are of."""
        call = calling.outermost_call()
        if call is None or call is not self._losses_of:
            self._call_losses = []

    def add_loss(self, loss: Any) -> None:
        """Add something to the loss of the model; to be used in `call`, which is given the input.

        Args:
            loss: a single number that was computed by ops; or a list of them.

        Raises:
            ValueError: it is no such tensor.
        """
        for part in leaves(loss):
            if not isinstance(part, Tensor) or part.size != 1:
                raise ValueError(
                    f"{self.title}: add_loss wants a single number that was computed by ops from "
                    f"tensors, but got {part!r}. Use it in call, and take a sum or mean."
                )
            self._call_losses.append(part)
        self._losses_of = calling.outermost_call()

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if the layer cannot take inputs of this shape."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Tell the shape of the output for a shape of the input, both with their batch axis.

        A layer of your own may leave this out: then one input of zeros is sent through it.

        Raises:
            ValueError: the layer cannot take inputs of this shape, or needs sizes that are None.
        """
        return self._results_for(input_shape)

    def multiply_adds(self, input_shape: Any) -> int:
        """Count the multiplications, each with an addition, that a call takes for one sample.

        Those with the zeros of a padding count, those of biases, activations and other layers than
        convolutions and Dense do not. The parts of a layer are tried with one input of zeros. A
        layer of your own may define this anew.

        Args:
            input_shape: the shape of the input, with its batch axis, or a structure of shapes.

        Raises:
            ValueError: the layer cannot take such inputs, or a size but the batch is not known.

        >>> from minicnn.layers import Conv2D, ReLU
        >>> Conv2D(16, 3).multiply_adds((None, 32, 32, 3))  # 30 * 30 * 3 * 3 * 3 * 16
        388800
        >>> ReLU().multiply_adds((None, 30, 30, 16))
        0
        """
        calls = self.calls_of_parts(input_shape)
        return sum(call.layer.multiply_adds(call.input_shape) for call in calls)

    def calls_of_parts(self, input_shape: Any) -> list[Call]:
        """The calls of its parts that a call with an input of this shape leads to, in order.

        Raises:
            ValueError: the layer cannot take such inputs, or a size but the batch is not known.
        """
        return tried_calls(self, input_shape)

    def add_weight(
        self,
        shape: Sequence[int] | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Callable[[Array], Array] | None = None,
        name: str | None = None,
    ) -> Variable:
        """Make a weight that belongs to this layer; to be used in build.

        Args:
            shape: its shape; None for a single number.
            initializer: makes its first numbers; None means "glorot_uniform".
            dtype: None takes that of the layer.
            trainable: False for what training must never change, as a running mean.
            regularizer: makes a penalty from the weight, which is added to the loss.
            constraint: a function that maps new numbers to allowed ones after each update.
            name: as "kernel"; None counts: "variable", "variable_1", ...

        Raises:
            ValueError: the layer has a weight of this name, or the initializer errs in the shape.
        """
        name = name or numbered("variable", len(self.own_weights))
        if any(weight.name == name for weight in self.own_weights):
            raise ValueError(
                f"{self.title}: has a weight {name!r} already. Choose another name; or was "
                f"build() called twice? Then let it call super().build(input_shape)."
            )
        wanted = tuple(shape or ())
        count_weight(self.title, wanted)
        make = initializers.get("glorot_uniform" if initializer is None else initializer)
        array = on_cpu(make(wanted, self.dtype if dtype is None else dtype))
        if array.shape != wanted:
            raise ValueError(
                f"{self.title}: the initializer of {name!r} must return an array of the shape it "
                f"is given, {wanted}, but returned {array.shape}."
            )
        weight = Variable(
            array,
            name=name,
            trainable=trainable and self.trainable,
            regularizer=regularizers.get(regularizer),
            constraint=arguments.constraint(self.title, "constraint", constraint),
        )
        weight.path = f"{self.name}/{name}"
        (self._learned if trainable else self._kept).append(weight)
        return weight

    @property
    def title(self) -> str:
        """How messages speak of the layer: layer 'conv2d_1' (Conv2D)."""
        return f"layer {self.name!r} ({type(self).__name__})"

    @property
    def input_shape(self) -> Shape:
        """The shape that the layer was built for, or is to be built for, with its batch axis."""
        shape = self._built_for or self.declared_input_shape
        if shape is None:
            raise AttributeError(
                f"{self.title}: has no input_shape yet: it is built by its first call, or by "
                f"build(input_shape)."
            )
        return shape

    @property
    def output_shape(self) -> Shape:
        """The shape of the output for inputs of `input_shape`."""
        return self.compute_output_shape(self.input_shape)

    @property
    def input(self) -> Any:
        """The symbolic tensor that the layer was called with first; a list, if there are several.

        Raises:
            AttributeError: the layer was not called with symbolic tensors.
        """
        return calling.only_one(self._first_node("input").inputs)

    @property
    def output(self) -> Any:
        """The symbolic tensor that the layer gave first; a list, if there are several.

        Raises:
            AttributeError: the layer was not called with symbolic tensors.
        """
        return calling.only_one(leaves(self._first_node("output").outputs))

    def _first_node(self, wanted: str) -> Node:
        if not self.nodes:
            raise AttributeError(
                f"{self.title}: has no {wanted}, as it was never called with a symbolic tensor. "
                f"Put it into a model that begins with Input(shape)."
            )
        return self.nodes[0]

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; set it to False to freeze the layer.

        Setting it sets it for all parts.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = arguments.truth_value(self.title, "trainable", value)
        for weight in self._learned:
            weight.trainable = value
        for part in parts_of(self):
            part.trainable = value

    @property
    def own_weights(self) -> list[Variable]:
        """Weights without those of its parts: first those that can be learned, then the others."""
        return self._learned + self._kept

    @property
    def weights(self) -> list[Variable]:
        """All weights: its own, then those of its parts, each once."""
        found = (weight for layer in layers_within(self) for weight in layer.own_weights)
        return list(dict.fromkeys(found))

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes; none if the layer as a whole is frozen."""
        return [weight for weight in self.weights if weight.trainable and self._trainable]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training does not change."""
        return [weight for weight in self.weights if not (weight.trainable and self._trainable)]

    @property
    def variables(self) -> list[Variable]:
        """The same as weights: no layer keeps another state in variables."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as trainable_weights."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The same as non_trainable_weights."""
        return self.non_trainable_weights

    @property
    def losses(self) -> list[Tensor]:
        """What is to be added to the loss: what the last call has added, penalties of weights."""
        found: list[Tensor] = []
        for layer in layers_within(self):
            found += layer._call_losses
            for weight in layer.own_weights:
                if weight.trainable and weight.regularizer is not None:
                    found.append(weight.regularizer(weight))
        return found

    @property
    def device(self) -> str:
        """Where it computes: "cpu", "gpu" or "emulator"; without weights, where set_device says."""
        weight = self._any_weight()
        return get_device() if weight is None else weight.device

    def _any_weight(self) -> Variable | None:
        for weight in self._learned or self._kept:
            return weight
        found = (part._any_weight() for part in parts_of(self))
        return next((weight for weight in found if weight is not None), None)

    def to(self, device: str) -> Layer:
        """Put all weights on a device, where the layer computes from now on; returns the layer.

        Args:
            device: "cpu", "gpu" or "emulator".

        Raises:
            ValueError: there is no such device.
            RuntimeError: it cannot be had; the message says why, and how to mend it.
        """
        check_device(f"{self.title}: to", device)
        for weight in self.weights:
            weight.move(device)
        return self

    def get_weights(self) -> list[Array]:
        """The numbers of all weights, as copies."""
        return [weight.numpy().copy() for weight in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace the numbers of all weights. On an error, none is changed.

        Args:
            weights: arrays as get_weights() gives them.

        Raises:
            ValueError: their number or a shape differs from that of the layer's weights.
            TypeError: one of them holds something other than numbers.
        """
        arrays = [on_cpu(array) for array in weights]
        if len(arrays) != len(self.weights):
            state = "" if self.built else " because it is not built yet"
            raise ValueError(
                f"{self.title}: has {len(self.weights)} weights{state}, but set_weights got "
                f"{len(arrays)} arrays. It wants them as get_weights() gives them."
            )
        for weight, array in zip(self.weights, arrays, strict=True):
            if array.shape != weight.shape:
                raise ValueError(
                    f"{self.title}: weight {weight.name!r} has shape {weight.shape}, but "
                    f"set_weights got an array of shape {array.shape}."
                )
            _check_numbers(array, f"{self.title}: set_weights for {weight.name!r}")
        for weight, array in zip(self.weights, arrays, strict=True):
            weight.assign(array)

    def count_params(self) -> int:
        """Count the numbers in all weights.

        Raises:
            ValueError: the layer is not built, so it has no weights yet.
        """
        if not self.built:
            raise ValueError(
                f"{self.title}: cannot count its weights, as it is not built. Build it with "
                f"build(input_shape) or call it once."
            )
        return sum(weight.size for weight in self.weights)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its weights.

        A layer of your own adds its own arguments to them: {**super().get_config(), "units": 3}. It
        can leave that out if its arguments are numbers, words, and lists and dicts of these.

        Raises:
            NotImplementedError: they are not.
        """
        if type(self).get_config is Layer.get_config and type(self).__init__ is not Layer.__init__:
            return configs.from_arguments(self, self._made_by)
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype_policy}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        return config

    def get_further_config(self) -> dict[str, Any]:
        """What files say beside the arguments: the shape that the layer was built for."""
        if not self.built or self._built_for is None:
            return {}
        return {"build_config": {"input_shape": mapped_shapes(list, self._built_for)}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make a layer from what get_config returned, here or in Keras."""
        return cls(**configs.without_idle_keys(config))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    def as_input(self, x: Any) -> Tensor:
        """An array as a tensor of the dtype of the layer; a tensor with its dtype changed."""
        if isinstance(x, Tensor):
            kind = x.dtype.kind
            if x.dtype == self.dtype:
                return x
            return x.astype(self.dtype) if kind == "f" else self.as_input(x.data)
        if x.dtype != self.dtype:
            _check_numbers(x, f"{self.title}: the input")
            x = x.astype(self.dtype)
        return Tensor(x, device=self.device)


def _check_numbers(array: Array, what: str) -> None:
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what} must be an array of real numbers, but is {array.dtype}.")


def _declared_shape(who: str, input_shape: Any, input_dim: int | None) -> Shape | None:
    if input_dim is not None:
        return (None, arguments.whole_number(who, "input_dim", input_dim))
    if input_shape is None:
        return None
    return (None, *arguments.shape(who, "input_shape", input_shape))


def _unknown_keyword(layer: type[Layer], keyword: str) -> str:
    parents = [parent for parent in layer.__mro__ if issubclass(parent, Layer)]
    named = [inspect.signature(parent.__init__).parameters for parent in parents]
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    known = {p.name: None for found in named for p in found.values() if p.kind not in variable}
    known.pop("self")
    return (
        f"{layer.__name__}: unknown keyword {keyword!r}.{did_you_mean(keyword, known)} "
        f"Known are: {', '.join(known)}."
    )
