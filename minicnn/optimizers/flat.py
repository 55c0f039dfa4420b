"""Many variables in one array, so that one kernel call can update them all."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from minicnn.autograd import Tensor
from minicnn.backend import Array, array_module, placed
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
        slots: the names of the state arrays.
        decays: whether weight decay is meant for these variables.
        first: gives the number that a state array begins with.
    """

    def __init__(
        self,
        variables: list[Variable],
        slots: Iterable[str],
        decays: bool,
        first: Callable[[str], float] = lambda slot: 0.0,
    ) -> None:
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
        self.state: dict[str, Array] = {
            slot: xp.full_like(self.weights, first(slot)) for slot in slots
        }
        self._views: dict[Variable, Array] = {}
        self._gathered: dict[Variable, Array] = {}  # gradients that lie at their places

    def move(self, device: str) -> None:
        """Put all arrays on another device; the variables are moved by somebody else."""
        self.weights, self.gradients = placed(self.weights, device), placed(self.gradients, device)
        self.state = {slot: placed(array, device) for slot, array in self.state.items()}
        self._views, self._gathered = {}, {}

    def part(self, array: Array, variable: Variable) -> Array:
        """The view into one of the flat arrays that belongs to `variable`."""
        return array[self.places[variable]].reshape(variable.shape)

    def runs(self, wanted: Container[Variable]) -> Iterator[Run]:
        """The wanted variables, grouped into runs of neighbours; one run if all are wanted."""
        run: list[Variable] = []
        for variable in self.places:
            if variable in wanted:
                run.append(variable)
            elif run:
                yield Run(self, run)
                run = []
        if run:
            yield Run(self, run)

    def fill(self, variables: list[Variable]) -> None:
        """Copy weights to their places that somebody else has set meanwhile."""
        for variable in variables:
            if variable.data is not self._views.get(variable):
                self.part(self.weights, variable)[...] = variable.data

    def adopt(self, variables: Iterable[Variable]) -> None:
        """Let the numbers of variables lie at their places, as they do after an update."""
        for variable in variables:
            if variable.data is not self._views.get(variable):
                view = self.part(self.weights, variable)
                view[...] = variable.data
                variable.data = self._views[variable] = view

    def gather(self, gradients: Mapping[Variable, Tensor]) -> None:
        """Copy gradients to their places one by one, as a CUDA graph can repeat it; see gathered.

        To put all together in one call, CuPy brings a list of addresses from the CPU.
        """
        for variable, gradient in gradients.items():
            place = self._gathered[variable] = self.part(self.gradients, variable)
            place[...] = gradient.data

    def gathered(self, variable: Variable) -> Array:
        """The gradient of a variable as `gather` has left it. `Run.fill` need not copy it again."""
        return self._gathered[variable]

    def has_gathered(self, variables: Iterable[Variable], arrays: Iterable[Array]) -> bool:
        """Whether these arrays are the very gradients that lie at the places of the variables."""
        known = self._gathered.get
        return all(known(v) is x for v, x in zip(variables, arrays, strict=True))

    def hand_out(self, variables: list[Variable]) -> None:
        """Give each variable a view of its new numbers, after its constraint."""
        for variable in variables:
            view = self.part(self.weights, variable)
            if variable.constraint is not None:
                view[...] = variable.constraint(view)
            variable.data = self._views[variable] = view


class Run:
    """Neighbours in a Flat: one stretch of each of its arrays.

    Args:
        flat: where they lie.
        variables: neighbours there, in their order.
    """

    def __init__(self, flat: Flat, variables: list[Variable]) -> None:
        self.flat = flat
        self.variables = variables
        self._place = slice(flat.places[variables[0]].start, flat.places[variables[-1]].stop)

    @property
    def weights(self) -> Array:
        """The numbers of the variables."""
        return self.flat.weights[self._place]

    @property
    def gradients(self) -> Array:
        """Their gradients."""
        return self.flat.gradients[self._place]

    @property
    def state(self) -> dict[str, Array]:
        """The optimizer's arrays for them."""
        return {slot: array[self._place] for slot, array in self.flat.state.items()}

    @property
    def single_gradients(self) -> list[Array]:
        """The gradient of each variable."""
        return [self.flat.part(self.flat.gradients, variable) for variable in self.variables]

    def fill(self, gradients: Mapping[Variable, Tensor | Array]) -> None:
        """Copy gradients to their places, and weights that somebody else has set meanwhile."""
        given = [gradients[variable] for variable in self.variables]
        arrays: list[Any] = [x.data if isinstance(x, Tensor) else x for x in given]
        if not self.flat.has_gathered(self.variables, arrays):
            flat = [array.reshape(-1) for array in arrays]
            array_module(self.weights).concatenate(flat, out=self.gradients)
        self.flat.fill(self.variables)

    def hand_out(self) -> None:
        """Give each variable a view of its new numbers, after its constraint."""
        self.flat.hand_out(self.variables)

    def singles(self) -> Iterator[tuple[Array, Array, dict[str, Array]]]:
        """Weights, gradient and state of each variable, in its own shape."""
        for variable in self.variables:
            part = self.flat.part
            state = {slot: part(array, variable) for slot, array in self.flat.state.items()}
            yield (
                part(self.flat.weights, variable),
                part(self.flat.gradients, variable),
                state,
            )
