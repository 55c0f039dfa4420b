"""Model: layers that belong together, with what can be asked of them and what trains them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from minicnn.layers import Layer
from minicnn.layers.shapes import Shape
from minicnn.models.checks import check_shape, fits
from minicnn.models.keywords import hints_at_misspelt_keywords
from minicnn.models.summary import print_summary
from minicnn.models.training import Trainer
from minicnn.models.weight_files import read_weights, write_weights
from minicnn.suggest import did_you_mean


class Model(Trainer):
    """What all models share. A model is itself a layer, so models can be parts of models.

    A subclass says in its attribute `layers` what it is made of, and in `call` how they are
    connected.

    Args:
        trainable: False freezes all layers.
        name: how summary() and files call it; None counts: "sequential", "sequential_1", ...
    """

    layers: list[Layer]

    @property
    def title(self) -> str:
        """How messages speak of the model: model 'sequential' (Sequential)."""
        return f"model {self.name!r} ({type(self).__name__})"

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError if the model cannot take inputs of this shape."""
        if not fits(shape, self.input_shape):
            check_shape(self.title, shape, self.input_shape)

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
    ) -> None:
        """Print a table of the layers, the shapes of their outputs, and their weights.

        As in Keras, the total includes the numbers that the optimizer keeps, once it has some; the
        last line says how many those are.

        Args:
            line_length: characters in a line; None takes what fits, 88 at most.
            positions: where the columns end, as shares of the line or in characters.
            print_fn: takes the text, all at once, in place of printing it.
            expand_nested: whether to show the layers of models that are layers of this model.
            show_trainable: whether to show which layers training changes.
            layer_range: two names, or patterns of names: the first and the last layer to show.

        Raises:
            ValueError: columns do not fit into the line, or there are no such layers.
        """
        print_summary(
            self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range
        )

    @hints_at_misspelt_keywords
    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Save the weights in a file that load_weights, and that of Keras, can read.

        Args:
            filepath: ends in ".weights.h5".
            overwrite: whether to replace a file that is there.

        Raises:
            ValueError: the path has another ending, or the model is not built.
            FileExistsError: the file is there, and overwrite is False.
            OSError: the file cannot be written.
        """
        if not overwrite and os.path.exists(filepath):
            raise FileExistsError(
                f"save_weights: {os.fspath(filepath)} is there already. Choose another name, or "
                f"say overwrite=True."
            )
        if not self.built:
            raise ValueError(
                f"save_weights: {self.title} has no weights to save, as it is not built. Begin "
                f"it with Input(shape), or call it once."
            )
        write_weights(filepath, self.name, self.layers)

    @hints_at_misspelt_keywords
    def load_weights(self, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
        """Load weights from a file that save_weights, or that of Keras, has written.

        Args:
            filepath: ends in ".weights.h5".
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
        read_weights(filepath, self.layers, skip_mismatch)
