"""Model: layers that belong together, with what can be asked of them and what trains them."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minicnn.gradcheck.report import GradReport
from minicnn.layers import Layer
from minicnn.layers.calling import only_one, placeholders
from minicnn.layers.calls import Call
from minicnn.layers.configs import from_arguments
from minicnn.layers.nesting import parts_of
from minicnn.layers.operators import Operator
from minicnn.layers.structure import mapped
from minicnn.layers.symbolic import SymbolicTensor
from minicnn.models.arranging import arranged, one_array
from minicnn.models.checks import check_shape, fits
from minicnn.models.costs import Costs, measured_times
from minicnn.models.functional_config import functional_config, functional_parts
from minicnn.models.graph import Graph
from minicnn.models.inside import Inspectable
from minicnn.models.keywords import hints_at_misspelt_keywords
from minicnn.models.plan import Plan
from minicnn.models.saving import check_overwrite, save_model
from minicnn.models.serialization import deserialize_keras_object, serialize_keras_object
from minicnn.models.summary import layers_of, print_summary
from minicnn.models.weight_files import read_weights, write_weights
from minicnn.registry import custom_object_scope
from minicnn.suggest import did_you_mean
from minicnn.variable import Variable

FUNCTIONAL_KEYS = {"layers", "input_layers", "output_layers"}


class Model(Inspectable):
    """Layers that are trained together. A model is itself a layer, so it can be part of a model.

    There are three ways to make one. As a chain: see Sequential. By saying what is computed from
    what, the functional way:

        x = Input((32, 32, 3))
        y = layers.Conv2D(16, 3, activation="relu")(x)
        y = layers.GlobalAveragePooling2D()(y)
        model = Model(inputs=x, outputs=layers.Dense(10, activation="softmax")(y))

    inputs and outputs may be lists or dicts; a layer that is called twice has its weights once. And
    as a subclass, which makes its layers in __init__ and calls them in call(self, x). It can do
    so for inputs and outputs of any form; and with functional arguments it can just change how the
    model learns:

        class WithNoise(Model):
            def train_step(self, data): ...

        model = WithNoise(inputs=x, outputs=y)

    Args:
        inputs: symbolic tensors, from Input(shape) or amid another model: one, a list or a dict.
        outputs: symbolic tensors that layers have made of them, in the form of the results.
        name: how summary() and files call it; None counts: "functional", "functional_1", ...
        trainable: False freezes all layers.
        **keywords: see Layer.

    Raises:
        TypeError: inputs or outputs are no symbolic tensors.
        ValueError: the outputs cannot be computed from the inputs, or two layers have one name.

    >>> from minicnn import layers
    >>> left, right = layers.Input((8,), name="left"), layers.Input((8,), name="right")
    >>> same = layers.Dense(4, activation="relu")
    >>> joined = layers.Concatenate(name="joined")([same(left), same(right)])
    >>> model = Model([left, right], layers.Dense(1)(joined))
    >>> model.output_shape, model.count_params(), len(model.layers)
    ((None, 1), 45, 5)

    A part of it is a model as well, with the same weights:

    >>> Model(model.inputs, model.get_layer("joined").output).output_shape
    (None, 8)
    """

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        if cls is Model and (arguments or {"inputs", "outputs"} & keywords.keys()):
            from minicnn.models.functional import Functional  # here, as it is a subclass

            cls = Functional
        return super().__new__(cls, *arguments, **keywords)

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        name: str | None = None,
        trainable: bool = True,
        **keywords: Any,
    ) -> None:
        super().__init__(name=name, trainable=trainable, **keywords)
        self._layers: list[Layer] | None = None
        self.graph: Graph | None = None
        self._output_shape: Any = None  # of a model that has to be tried for that
        if inputs is not None or outputs is not None:
            self._connect(Graph(inputs, outputs))

    def _connect(self, graph: Graph) -> None:
        self.graph = graph
        self._plan = Plan(graph)
        self._layers = [x for x in graph.operations if not isinstance(x, Operator)]
        self.output_names = [tensor.node.layer.name for tensor in graph.outputs]
        self.built, self._built_for = True, only_one([x.shape for x in graph.inputs])
        if not self.trainable:
            self.trainable = False

    @property
    def layers(self) -> list[Layer]:
        """The layers, in the order in which they are computed, or in which a subclass made them."""
        return parts_of(self) if self._layers is None else list(self._layers)

    def _any_weight(self) -> Variable | None:
        """Every call with an array asks for it, so the layers are asked first."""
        for layer in self._layers or ():
            weight = layer._any_weight()
            if weight is not None:
                return weight
        return super()._any_weight()

    @property
    def title(self) -> str:
        """How messages speak of the model: model 'sequential' (Sequential)."""
        return f"model {self.name!r} ({type(self).__name__})"

    def names_of_outputs(self) -> Any:
        """The names of the outputs, in the structure in which the model gives them."""
        if self.graph is None:
            return None
        return mapped(lambda tensor: tensor.node.layer.name, self.graph.output_structure)

    def _arranged(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        if self.graph is None:
            return x, y, sample_weight
        x = one_array("x", x) if len(self.graph.inputs) == 1 else x
        if len(self.graph.outputs) == 1:
            y, sample_weight = one_array("y", y), one_array("sample_weight", sample_weight)
        return x, y, sample_weight

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Compute the outputs; a subclass that is not made of inputs and outputs defines this.

        Raises:
            NotImplementedError: there is no such definition.
        """
        if self.graph is None:
            raise NotImplementedError(
                f"{self.title}: define call(self, x), which computes the outputs with the layers "
                f"that __init__ has made; or make the model of Model(inputs, outputs)."
            )
        return self._plan(arranged(x, self.graph, self.title), training)

    def check_input(self, shape: Any) -> None:
        """Raise a ValueError if the model cannot take inputs of this shape, or these shapes."""
        if self.graph is None:
            return
        wanted = self.graph.inputs
        came = arranged(placeholders(shape, self.dtype), self.graph, self.title)
        for tensor, x in zip(wanted, came, strict=True):
            if not fits(x.shape, tensor.shape):
                which = f", input {tensor.name!r}" if len(wanted) > 1 else ""
                check_shape(f"{self.title}{which}", x.shape, tensor.shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Tell the shapes of the outputs for shapes of the inputs, with their batch axes."""
        if self.graph is None:
            return super().compute_output_shape(input_shape)
        came = arranged(placeholders(input_shape, self.dtype), self.graph, self.title)
        return self._plan.shapes([x.shape for x in came])

    def calls_of_parts(self, input_shape: Any) -> list[Call]:
        """The calls of the layers that a call with inputs of these shapes leads to, in order."""
        if self.graph is None:
            return super().calls_of_parts(input_shape)
        came = arranged(placeholders(input_shape, self.dtype), self.graph, self.title)
        return self._plan.calls([x.shape for x in came])

    @property
    def output_shape(self) -> Any:
        """The shape of the output; a list of shapes, if there are several outputs."""
        if self.graph is None:
            if self._output_shape is None:
                self._output_shape = super().output_shape
            return self._output_shape
        return only_one([tensor.shape for tensor in self.graph.outputs])

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors that the model begins with.

        Raises:
            AttributeError: it is not made of symbolic tensors.
        """
        return self._known_graph("inputs").inputs

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors that the model ends with.

        Raises:
            AttributeError: it is not made of symbolic tensors.
        """
        return self._known_graph("outputs").outputs

    @property
    def input(self) -> Any:
        """The inputs, in the form in which they were given."""
        return super().input if self.graph is None else self.graph.input_structure

    @property
    def output(self) -> Any:
        """The outputs, in the form in which they were given."""
        return super().output if self.graph is None else self.graph.output_structure

    def _known_graph(self, wanted: str) -> Graph:
        if self.graph is None:
            raise AttributeError(
                f"{self.title}: has no symbolic {wanted}, as it is not made of inputs and outputs, "
                f"or not built yet."
            )
        return self.graph

    def get_config(self) -> dict[str, Any]:
        """The arguments that make such a model again, without its weights.

        Raises:
            NotImplementedError: a subclass defines none, and has arguments that cannot be saved.
        """
        if self.graph is None or not _takes_inputs_and_outputs(type(self)):
            own_arguments = type(self).__init__ is not Model.__init__
            if own_arguments and type(self).get_config is Model.get_config:
                return from_arguments(self, self._made_by)
            return super().get_config()
        return {"name": self.name, "trainable": self.trainable, **functional_config(self.graph)}

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
        if "input_layers" not in config:
            return super().from_config(config)
        with custom_object_scope(custom_objects or {}):
            inputs, outputs = functional_parts(config)
        settings = {key: config[key] for key in config.keys() - FUNCTIONAL_KEYS}
        if settings.get("trainable") is None:
            settings.pop("trainable", None)
        return cls(inputs=inputs, outputs=outputs, **settings)

    def get_further_config(self) -> dict[str, Any]:
        """What files say beside the arguments: for which shape it was built, and compile's."""
        built = super().get_further_config()
        if self.graph is not None:
            built = {"build_config": {"input_shape": None}}
        return {**built, "compile_config": self.get_compile_config()}

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments that compile was given, as files have them; none if it was not called."""
        if self.optimizer is None:
            return {}
        names = ("loss", "loss_weights", "metrics", "weighted_metrics")
        given = dict(zip(("optimizer", *names), (self.optimizer, *self._settings), strict=True))
        return {name: serialize_keras_object(value) for name, value in given.items()}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile the model with what get_compile_config has returned, here or in Keras."""
        known = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics")
        self.compile(**{name: deserialize_keras_object(config.get(name)) for name in known})

    def to_json(self, **keywords: Any) -> str:
        """The model as JSON, without its weights; models.model_from_json reads it, also in Keras.

        Args:
            **keywords: for json.dumps: indent, for one.
        """
        return json.dumps(serialize_keras_object(self), **keywords)

    @hints_at_misspelt_keywords
    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Find a layer by its name or its place; the first has the index 0.

        Raises:
            ValueError: there is no such layer, or neither or both of name and index are given.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer: wants either a name or an index.")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f"get_layer: {self.title} has {len(self.layers)} layers, so there is no "
                    f"layer {index}."
                )
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        existing = [layer.name for layer in self.layers]
        raise ValueError(
            f"No such layer: {name}.{did_you_mean(str(name), existing)} "
            f"Existing layers are: {existing}."
        )

    @hints_at_misspelt_keywords
    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], object] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
        show_macs: bool = False,
        show_memory: bool = False,
        show_time: bool = False,
        batch_size: int = 32,
    ) -> None:
        """Print a table of the layers, the shapes of their outputs, and their weights.

        As in Keras, the total includes the numbers that the optimizer keeps, once it has some; a
        line says how many those are.

        Three more columns, which Keras does not have, tell what a layer costs:

            MACs             multiply-adds for one sample, see Layer.multiply_adds:
                             I * J * P * Q * C / groups * F for a Conv2D
            Output Memory    bytes of its output for one sample, 4 for each float32
            Time             of one batch in inference: a random batch goes through the model once
                             for nothing, then 5 times with a clock on each layer, and the median
                             counts; a layer is computed by itself then

        A model that is a layer has all that its layers cost in its row, but only its own output. A
        layer that is called several times has the sum. The totals, below, add up the rows; but the
        total time is the median of the model as a whole, without clocks, which computes some
        neighbors together. What cannot be known, because a size is not, is "?".

        Args:
            line_length: characters in a line; None takes what fits, 88 at most.
            positions: where the columns end, as shares of the line or in characters.
            print_fn: takes the text, all at once, in place of printing it.
            expand_nested: whether to show the layers of models that are layers of this model.
            show_trainable: whether to show which layers training changes.
            layer_range: two names, or patterns of names: the first and the last layer to show.
            show_macs: whether to count multiply-adds.
            show_memory: whether to count the bytes of the outputs.
            show_time: whether to measure the time.
            batch_size: of the batch whose time is measured.

        Raises:
            ValueError: columns do not fit into the line, or there are no such layers; batch_size
                is below 1.
            TypeError: batch_size is no integer.
        """
        shown = layers_of(self, expand_nested)
        times = measured_times(self, shown, batch_size) if show_time else None
        costs = Costs(self, show_macs, show_memory, times, batch_size)
        settings = (line_length, positions, print_fn, expand_nested, show_trainable, layer_range)
        print_summary(self, *settings, costs)

    @hints_at_misspelt_keywords
    def gradcheck(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        per_param: int = 20,
        order: int = 1,
        seed: int = 0,
        raise_on_fail: bool = True,
    ) -> GradReport:
        """Compare the gradients of the loss for all weights with finite differences.

        A copy of the model computes in float64, in training mode, with one mask for each dropout
        layer and the statistics of this batch; the model itself stays as it is. See
        minicnn.gradcheck for the method.

        Args:
            x: the inputs of one small batch.
            y: its labels.
            sample_weight: how much each sample counts in the loss.
            per_param: how many elements of each weight are compared.
            order: 2 checks the gradient of the gradient as well.
            seed: decides which elements.
            raise_on_fail: whether a wrong gradient is an error.

        Returns:
            A GradReport, which is true if all is well.

        Raises:
            GradientError: an AssertionError: a gradient is wrong; its text is the report.
            ValueError: the model is not compiled, or x and y do not fit.
        """
        from minicnn.models.gradient_check import check_model

        self._compiled("gradcheck")
        batch = self._ready_batch(x, y, sample_weight, "gradcheck", labels=True)
        settings = {"order": order, "seed": seed, "raise_on_fail": raise_on_fail}
        return check_model(self, batch, per_param, **settings)

    def save(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        zipped: bool | None = None,
    ) -> None:
        """Save the whole model in a file that models.load_model, and that of Keras, can read.

        Args:
            filepath: ends in ".keras".
            overwrite: whether to replace a file that is there.
            zipped: here for Keras' sake; the file is always one archive.

        Raises:
            ValueError: the path has another ending; the model is not built; it holds something
                that cannot be saved, as a lambda.
            FileExistsError: the file is there, and overwrite is False.
            OSError: the file cannot be written; an old one is left as it was.
        """
        save_model(self, filepath, overwrite, zipped)

    @hints_at_misspelt_keywords
    def export(self, filepath: str | os.PathLike[str]) -> None:
        """Write the model as an ONNX file, for inference by other programs; see minicnn.export.

        Args:
            filepath: ends in ".onnx".

        Raises:
            ImportError: the package onnx is not installed.
            ValueError: the path has another ending, or the model is not made of symbolic inputs
                and outputs.
            NotImplementedError: ONNX has nothing like one of the layers.
            OSError: the file cannot be written.
        """
        from minicnn.export import export_onnx  # here, because that package needs this file

        export_onnx(self, filepath)

    @hints_at_misspelt_keywords
    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Save the weights in a file that load_weights, and that of Keras, can read.

        The state of the optimizer is saved with them, if the model is compiled.

        Args:
            filepath: ends in ".weights.h5".
            overwrite: whether to replace a file that is there.

        Raises:
            ValueError: the path has another ending, or the model is not built.
            FileExistsError: the file is there, and overwrite is False.
            OSError: the file cannot be written.
        """
        check_overwrite("save_weights", filepath, overwrite)
        if not self.built:
            raise ValueError(
                f"save_weights: {self.title} has no weights to save, as it is not built. Begin "
                f"it with Input(shape), or call it once."
            )
        write_weights(filepath, self)

    @hints_at_misspelt_keywords
    def load_weights(self, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
        """Load weights from a file that save_weights, or that of Keras, has written.

        Args:
            filepath: ends in ".weights.h5"; or ".keras", a whole model; or ".h5", a file of
                Keras 2, whose layers are paired with those of the model by their order.
            skip_mismatch: whether to leave layers alone that do not fit, with a warning; by
                default nothing is loaded unless all fit.

        Raises:
            ValueError: the file does not fit the model, or the model is not built.
            OSError: the file is not there, or cannot be read.
        """
        if not self.built:
            raise ValueError(
                f"load_weights: {self.title} has no weights to fill, as it is not built. Begin "
                f"it with Input(shape), or call it once."
            )
        read_weights(filepath, self, skip_mismatch)


def _takes_inputs_and_outputs(cls: type[Model]) -> bool:
    """Whether a model of this class can be made of inputs and outputs again."""
    takes = inspect.signature(cls.__init__).parameters
    kinds = {parameter.kind for parameter in takes.values()}
    anything = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return {"inputs", "outputs"} <= takes.keys() or anything <= kinds
