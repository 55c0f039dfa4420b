"""Many variables in one array, so that one kernel call can update them all."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

import numpy as np

from minicnn.autograd import Tensor
from minicnn.backend import Array, array_module
from minicnn.variable import Variable


class Flat:
    """The numbers of several variables side by side, with their gradients and an optimizer's state.

    A network has dozens of weights, many of them small, and an update of each would start dozens of
    kernels. So all weights of one dtype share one array, and the `data` of each variable becomes a
    view into it. Gradients and state are laid out the same way:

        weights    [ kernel of conv2d | bias of conv2d | kernel of dense | ... ]
        gradients  [ its gradient     | its gradient   | its gradient    | ... ]
        state[m]   [ ...

    After an update, every variable gets a new view of the same place. The numbers under the old one
    have changed, and the engine recognizes by the new view that graphs which used it are outdated.

    Args:
        variables: variables of one dtype on one device.
        slots: the names of the state arrays, which begin with zeros.
        decays: whether weight decay is meant for these variables.
    """

    def __init__(self, variables: list[Variable], slots: Iterable[str], decays: bool) -> None:
        xp = array_module(variables[0].data)
        ends = np.cumsum([variable.size for variable in variables]).tolist()
        starts = [0, *ends[:-1]]
        self.places = {
            variable: slice(start, end)
            for variable, start, end in zip(variables, starts, ends, strict=True)
        }
        self.decays = decays
        self.weights: Array = xp.empty(ends[-1], variables[0].dtype)
        self.gradients: Array = xp.empty_like(self.weights)
        self.state: dict[str, Array] = {slot: xp.zeros_like(self.weights) for slot in slots}
        self._views: dict[Variable, Array] = {}

    def part(self, array: Array, variable: Variable) -> Array:
        """The view into one of the flat arrays that belongs to `variable`."""
        return array[self.places[variable]].reshape(variable.shape)

    def runs(self, wanted: Container[Variable]) -> Iterator[list[Variable]]:
        """The wanted variables, grouped into runs of neighbours; one run if all are wanted."""
        run: list[Variable] = []
        for variable in self.places:
            if variable in wanted:
                run.append(variable)
            elif run:
                yield run
                run = []
        if run:
            yield run

    def place(self, run: list[Variable]) -> slice:
        """Where the numbers of a run of neighbours are."""
        return slice(self.places[run[0]].start, self.places[run[-1]].stop)

    def fill(self, run: list[Variable], gradients: Mapping[Variable, Tensor | Array]) -> None:
        """Copy gradients to their places, and weights that somebody else has set meanwhile."""
        arrays = [gradients[variable] for variable in run]
        flat = [(x.data if isinstance(x, Tensor) else x).reshape(-1) for x in arrays]
        array_module(self.weights).concatenate(flat, out=self.gradients[self.place(run)])
        for variable in run:
            if variable.data is not self._views.get(variable):
                self.part(self.weights, variable)[...] = variable.data

    def hand_out(self, run: list[Variable]) -> None:
        """Give each variable of the run a view of its new numbers, after its constraint."""
        for variable in run:
            view = self.part(self.weights, variable)
            if variable.constraint is not None:
                view[...] = variable.constraint(view)
            variable.data = self._views[variable] = view
