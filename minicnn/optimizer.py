"""What all optimizers share: the order of a step, clipping, weight decay, saving their state."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minicnn.arguments import number, optional_number, snake_case
from minicnn.autograd import Tensor
from minicnn.backend import Array, array_module
from minicnn.flat import Flat
from minicnn.suggest import did_you_mean
from minicnn.variable import Variable

OPTIONS = ("name", "learning_rate", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
SHORT_FORMS = {"lr": "learning_rate", "wd": "weight_decay", "eps": "epsilon"}
NOT_WRITTEN_YET = {  # Keras' other common arguments, with the values that switch them off
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


class Optimizer:
    """Weights follow their gradients downhill. A subclass names its state and writes `update`.

    One step is:  clip the gradients;  take off the weight decay and update, in one pass over all
    weights (see flat.py);  apply the constraints;  iterations += 1.

    Args:
        learning_rate: how far a step goes. It can be set at any time.
        weight_decay: before the update, w -= w * weight_decay * learning_rate.
        clipnorm: the gradient of each variable is shortened to this length, if it is longer.
        clipvalue: every element of a gradient is clipped to [-clipvalue, clipvalue].
        global_clipnorm: all gradients together are shortened to this length.
        name: by default the class name in snake case, "adam_w".

    Raises:
        TypeError: a number was expected and something else came.
        ValueError: a number is out of range, an argument is unknown, or several kinds of clipping
            are asked for.

    >>> import minicnn.optimizers
    >>> w = Variable(np.array([1.0, 2.0], np.float32))
    >>> optimizer = minicnn.optimizers.SGD(learning_rate=0.5)
    >>> optimizer.apply([np.array([2.0, 2.0], np.float32)], [w])
    >>> w.numpy(), optimizer.iterations
    (array([0., 1.], dtype=float32), 1)
    """

    slots: tuple[tuple[str, ...], ...] = ()  # names of state arrays; files keep a group together

    def __init__(
        self,
        learning_rate: float,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        kind = type(self).__name__
        self._refuse(unknown)
        self.learning_rate = learning_rate
        self.weight_decay = optional_number(f"{kind}: weight_decay", weight_decay)
        self.clipnorm = optional_number(f"{kind}: clipnorm", clipnorm)
        self.clipvalue = optional_number(f"{kind}: clipvalue", clipvalue)
        self.global_clipnorm = optional_number(f"{kind}: global_clipnorm", global_clipnorm)
        if sum(x is not None for x in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(
                f"{kind}: only one of clipnorm, clipvalue and global_clipnorm can be set."
            )
        self.name = name or snake_case(kind)
        self.iterations = 0  # steps done
        self._variables: list[Variable] = []
        self._flats: list[Flat] = []
        self._spared_variables: set[Variable] = set()
        self._spared_names: tuple[str, ...] = ()

    def _refuse(self, unknown: dict[str, Any]) -> None:
        kind = type(self).__name__
        for name, value in unknown.items():
            if name not in NOT_WRITTEN_YET:
                known = [*inspect.signature(type(self)).parameters, *OPTIONS]
                hint = did_you_mean(SHORT_FORMS.get(name, name), known)
                raise ValueError(f"{kind}: unknown argument {name!r}.{hint}")
            if value != NOT_WRITTEN_YET[name]:
                raise ValueError(f"{kind}: {name} is not written yet. Leave it out.")

    @property
    def learning_rate(self) -> float:
        """How far a step goes."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = number(f"{type(self).__name__}: learning_rate", value)

    @property
    def built(self) -> bool:
        """Whether build() was called."""
        return bool(self._flats)

    def exclude_from_weight_decay(
        self,
        var_list: Sequence[Variable] | None = None,
        var_names: Sequence[str] | None = None,
    ) -> None:
        """Spare some variables from weight decay; to be called before the first step.

        Args:
            var_list: the variables themselves.
            var_names: parts of their names: ["bias"] spares all biases.

        Raises:
            ValueError: the optimizer is built already.
        """
        if self.built:
            raise ValueError(
                f"{type(self).__name__}.exclude_from_weight_decay: must be called before the "
                f"optimizer is built, which the first step does."
            )
        self._spared_variables = set(var_list or ())
        self._spared_names = tuple(var_names or ())

    def build(self, variables: Iterable[Variable]) -> None:
        """Make the state for exactly these variables. Those that have state already keep it.

        Raises:
            TypeError: one of them is not a Variable.
            ValueError: there are none, or one stands there twice.
        """
        variables = list(variables)
        if variables == self._variables and variables:
            return
        self._check_variables(variables)
        before = {variable: flat for flat in self._flats for variable in flat.places}
        self._variables, self._flats = variables, self._laid_out(variables)
        for flat in self._flats:
            for variable in flat.places.keys() & before.keys():
                for slot, array in flat.state.items():
                    old = before[variable]
                    flat.part(array, variable)[...] = old.part(old.state[slot], variable)

    def _check_variables(self, variables: list[Variable]) -> None:
        kind = type(self).__name__
        for variable in variables:
            if not isinstance(variable, Variable):
                raise TypeError(
                    f"{kind}.build: wants Variables, but got {type(variable).__name__}: make it "
                    f"with minicnn.Variable(data)."
                )
        if not variables:
            raise ValueError(f"{kind}.build: got no variables. Is every layer frozen?")
        if len(set(variables)) < len(variables):
            raise ValueError(f"{kind}.build: a variable is in the list twice.")

    def _laid_out(self, variables: list[Variable]) -> list[Flat]:
        """Variables that one kernel call can update together: of one dtype, and with one decay."""
        groups: dict[tuple[Any, bool], list[Variable]] = {}
        for variable in variables:
            groups.setdefault((variable.dtype, self._decays(variable)), []).append(variable)
        slots = [slot for group in self.slots for slot in group]
        return [Flat(group, slots, decays) for (_, decays), group in groups.items()]

    def _decays(self, variable: Variable) -> bool:
        if self.weight_decay is None:
            return False
        spared = any(part in variable.name for part in self._spared_names)
        return not spared and variable not in self._spared_variables

    def apply(
        self,
        grads: Sequence[Tensor | Array],
        variables: Sequence[Variable] | None = None,
    ) -> None:
        """Do one step.

        Args:
            grads: one gradient per variable, of its shape.
            variables: by default those that the optimizer was built for. A part of them will do,
                and the others stay as they are.

        Raises:
            ValueError: gradients and variables do not fit together.
        """
        if variables is not None and not self.built:
            self.build(variables)
        variables = self._variables if variables is None else list(variables)
        self._check_gradients(grads, variables)
        gradients = dict(zip(variables, grads, strict=True))
        runs = [(flat, run) for flat in self._flats for run in flat.runs(gradients)]
        for flat, run in runs:
            flat.fill(run, gradients)
        self._clip([flat.part(flat.gradients, x) for flat, run in runs for x in run])
        for flat, run in runs:
            place = flat.place(run)
            state = {slot: array[place] for slot, array in flat.state.items()}
            decay = self.learning_rate * (self.weight_decay or 0.0) if flat.decays else 0.0
            self.update(flat.weights[place], flat.gradients[place], state, decay)
            flat.hand_out(run)
        self.iterations += 1

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Tensor | Array, Variable]]) -> None:
        """Do one step with pairs of a gradient and its variable: zip(grads, variables)."""
        grads, variables = zip(*grads_and_vars, strict=True)
        self.apply(grads, variables)

    def _check_gradients(self, grads: Sequence[Any], variables: list[Variable]) -> None:
        who = f"{type(self).__name__}.apply"
        if not self.built:
            raise ValueError(f"{who}: which variables? Say apply(grads, variables) the first time.")
        if len(grads) != len(variables):
            raise ValueError(f"{who}: got {len(grads)} gradients for {len(variables)} variables.")
        if len(set(variables)) < len(variables):
            raise ValueError(f"{who}: a variable is in the list twice. Add its gradients up.")
        known = set(self._variables)
        for gradient, variable in zip(grads, variables, strict=True):
            if variable not in known:
                raise ValueError(
                    f"{who}: {variable!r} is new to this optimizer. Call build(variables) with all "
                    f"variables first, or make a new optimizer."
                )
            if not hasattr(gradient, "shape"):
                raise TypeError(
                    f"{who}: the gradient of {variable.path} must be a tensor or an array, but is "
                    f"{type(gradient).__name__}."
                )
            if gradient.shape != variable.shape:
                raise ValueError(
                    f"{who}: the gradient of {variable.path} has shape {gradient.shape}, but the "
                    f"variable has {variable.shape}. Are both lists in the same order?"
                )

    def _clip(self, gradients: list[Array]) -> None:
        if self.clipvalue is not None:
            for g in gradients:
                g.clip(-self.clipvalue, self.clipvalue, out=g)
        if self.clipnorm is not None:
            for g in gradients:
                _shorten([g], self.clipnorm)
        if self.global_clipnorm is not None:
            _shorten(gradients, self.global_clipnorm)

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        """Update flat arrays in place.

        Args:
            w: weights.
            g: their gradients.
            state: the arrays that `slots` names.
            decay: the share of w to be taken off first.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update.")

    @property
    def variables(self) -> list[Array]:
        """Copies of all that a later run needs to go on; see state()."""
        return self.state()

    def state(self) -> list[Array]:
        """All that a later run needs to go on, copied, in the order in which Keras stores it.

        Iterations, learning rate, then the state of the variables: Adam's m and v of the first, m
        and v of the second, and so on. Before the first step there are only the first two.
        """
        steps, rate = np.array(self.iterations), np.array(self.learning_rate, np.float32)
        return [steps, rate, *(part.copy() for part in self._state_parts())]

    def _state_parts(self) -> list[Array]:
        flat_of = {variable: flat for flat in self._flats for variable in flat.places}
        return [
            flat_of[variable].part(flat_of[variable].state[slot], variable)
            for group in self.slots
            for variable in self._variables
            for slot in group
        ]

    def load_state(self, arrays: Sequence[Array]) -> None:
        """Go on from what state() has returned.

        Raises:
            ValueError: number or shapes of the arrays do not fit; then nothing was changed.
        """
        who = f"{type(self).__name__}.load_state"
        parts = self._state_parts()
        if len(arrays) != len(parts) + 2:
            raise ValueError(
                f"{who}: wants {len(parts) + 2} arrays, but got {len(arrays)}. Call "
                f"build(variables) first, with the variables and the kind of optimizer as saved."
            )
        for k, (part, array) in enumerate(zip(parts, arrays[2:], strict=True)):
            if part.shape != np.shape(array):
                raise ValueError(
                    f"{who}: array {k + 2} has shape {np.shape(array)}, wanted was {part.shape}."
                )
        self.iterations = int(arrays[0])
        if np.float32(self.learning_rate) != arrays[1]:  # else keep the exact number that was given
            self.learning_rate = float(arrays[1])
        for part, array in zip(parts, arrays[2:], strict=True):
            part[...] = array_module(part).asarray(array)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an optimizer like this one, without its state."""
        return {option: getattr(self, option) for option in OPTIONS}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """Make an optimizer from what get_config() has returned."""
        return cls(**config)


def _shorten(gradients: list[Array], limit: float) -> None:
    """Scale all gradients by one factor, so that together they are no longer than `limit`."""
    # float64, and not BLAS, whose result would depend on the number of threads
    length = math.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients))
    if length > limit:
        for g in gradients:
            g *= limit / length
