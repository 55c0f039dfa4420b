"""What all optimizers share: the order of a step, and their state, as files keep it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from minicnn.arguments import number, optional_number, saved_form, snake_case
from minicnn.autograd import Tensor
from minicnn.backend import Array, array_module, on_cpu
from minicnn.optimizers import schedules
from minicnn.optimizers.checks import check_gradients, check_variables, count
from minicnn.optimizers.clipping import Clipping
from minicnn.optimizers.flat import Flat, Run
from minicnn.optimizers.schedules import LearningRateSchedule
from minicnn.suggest import did_you_mean
from minicnn.variable import Variable

Rate: TypeAlias = "float | LearningRateSchedule | Callable[[], float]"

OPTIONS = (  # in the order of Keras' configurations
    "name",
    "learning_rate",
    "weight_decay",
    "clipnorm",
    "global_clipnorm",
    "clipvalue",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)
SHORT_FORMS = {"lr": "learning_rate", "wd": "weight_decay", "eps": "epsilon"}
AVERAGE, ACCUMULATOR = "average", "gradient_accumulator"  # slots that an argument adds


class Optimizer:
    """Weights follow their gradients downhill. A subclass names its state and writes `update`.

    One step is:  clip the gradients;  take off the weight decay and update, in one pass over all
    weights (see flat.py);  take the average;  apply the constraints;  iterations += 1.

    Args:
        learning_rate: how far a step goes: a number, which can be set at any time; a schedule, see
            schedules.py; or a function without arguments.
        weight_decay: before the update, w -= w * weight_decay * learning_rate.
        clipnorm: the gradient of each variable is shortened to this length, if it is longer.
        clipvalue: every element of a gradient is clipped to [-clipvalue, clipvalue].
        global_clipnorm: all gradients together are shortened to this length.
        use_ema: whether to keep an average of the weights,
            average = ema_momentum * average + (1 - ema_momentum) * w  after each step. When fit
            ends, the weights become the averages.
        ema_momentum: the share of the average that lasts.
        ema_overwrite_frequency: after how many steps, each time, the weights become the averages.
        loss_scale_factor: the loss is multiplied by it and the gradients are divided by it, which
            keeps tiny gradients apart from 0 in narrow number formats.
        gradient_accumulation_steps: how many gradients make a step, by their mean: as a batch does
            that is so many times as large. Calls in between leave the weights alone.
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
    one_by_one = False  # whether update gets one variable at a time, in its own shape

    def __init__(
        self,
        learning_rate: Rate,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        kind = type(self).__name__
        self._refuse(unknown)
        self._learning_rate: Rate = 0.0
        self.learning_rate = learning_rate
        self.weight_decay = optional_number(f"{kind}: weight_decay", weight_decay)
        self._clipping = Clipping(kind, clipnorm, clipvalue, global_clipnorm)
        self.use_ema = bool(use_ema)
        self.ema_momentum = number(f"{kind}: ema_momentum", ema_momentum, high=1)
        self.ema_overwrite_frequency = count(
            f"{kind}: ema_overwrite_frequency", ema_overwrite_frequency, at_least=1
        )
        self.loss_scale_factor = optional_number(f"{kind}: loss_scale_factor", loss_scale_factor)
        self.gradient_accumulation_steps = count(
            f"{kind}: gradient_accumulation_steps", gradient_accumulation_steps, at_least=2
        )
        self.name = name or snake_case(kind)
        self._calls = 0  # of apply
        self._variables: list[Variable] = []
        self._flats: list[Flat] = []
        self._spared_variables: set[Variable] = set()
        self._spared_names: tuple[str, ...] = ()

    def _refuse(self, unknown: dict[str, Any]) -> None:
        for name in unknown:
            known = [*inspect.signature(type(self)).parameters, *OPTIONS]
            hint = did_you_mean(SHORT_FORMS.get(name, name), known)
            raise ValueError(f"{type(self).__name__} [MC050]: unknown argument {name!r}.{hint}")

    @property
    def learning_rate(self) -> float:
        """How far the next step goes."""
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            return rate(self._calls)
        return rate() if callable(rate) else rate

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        kind = type(self).__name__
        if isinstance(value, Mapping):
            value = schedules.get(value)
        if callable(value):
            self._learning_rate = value
            return
        if isinstance(self._learning_rate, LearningRateSchedule):
            raise TypeError(
                f"{kind}: the learning rate follows {type(self._learning_rate).__name__} and "
                f"cannot be set to {value!r}. Compile with a number, learning_rate=0.001, to set "
                f"it while training."
            )
        self._learning_rate = number(f"{kind}: learning_rate", value)

    @property
    def iterations(self) -> int:
        """Steps done."""
        return self._calls // (self.gradient_accumulation_steps or 1)

    @property
    def clipnorm(self) -> float | None:
        """The greatest length of the gradient of one variable."""
        return self._clipping.norm

    @property
    def clipvalue(self) -> float | None:
        """The greatest size of an element of a gradient."""
        return self._clipping.value

    @property
    def global_clipnorm(self) -> float | None:
        """The greatest length of all gradients together."""
        return self._clipping.global_norm

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
            var_names: parts of their names, or regular expressions: ["bias"] spares all biases.

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
        check_variables(type(self).__name__, variables)
        before = {variable: flat for flat in self._flats for variable in flat.places}
        self._variables, self._flats = variables, self._laid_out(variables)
        for flat in self._flats:
            for variable in flat.places:
                self._begin_with(variable, flat, before.get(variable))

    def _begin_with(self, variable: Variable, flat: Flat, before: Flat | None) -> None:
        """Carry the state of a known variable over; the average of a new one is what it is now."""
        if before is not None:
            for slot, array in flat.state.items():
                flat.part(array, variable)[...] = before.part(before.state[slot], variable)
        elif self.use_ema and self.iterations:
            flat.part(flat.state[AVERAGE], variable)[...] = variable.data

    def _laid_out(self, variables: list[Variable]) -> list[Flat]:
        """Variables that one kernel call can update together, as they share dtype, decay, slots."""
        groups: dict[tuple[Any, bool, tuple[str, ...]], list[Variable]] = {}
        for variable in variables:
            slots = tuple(slot for group in self._all_slots() for slot in group)
            slots = tuple(slot for slot in slots if self.wants(slot, variable))
            groups.setdefault((variable.dtype, self._decays(variable), slots), []).append(variable)
        return [
            Flat(group, slots, decays, self.first_value)
            for (_, decays, slots), group in groups.items()
        ]

    def _all_slots(self) -> tuple[tuple[str, ...], ...]:
        """All groups of state arrays, in the order of Keras' files."""
        average = ((AVERAGE,),) if self.use_ema else ()
        accumulator = ((ACCUMULATOR,),) if self.gradient_accumulation_steps else ()
        return (*average, *accumulator, *self.slots)

    def wants(self, slot: str, variable: Variable) -> bool:
        """Whether this variable needs this state array."""
        return True

    def first_value(self, slot: str) -> float:
        """The number that a state array begins with."""
        return 0.0

    def _decays(self, variable: Variable) -> bool:
        spared = any(re.search(part, variable.name) for part in self._spared_names)
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
        check_gradients(f"{type(self).__name__}.apply", grads, variables, self._variables)
        gradients = dict(zip(variables, grads, strict=True))
        runs = [run for flat in self._flats for run in flat.runs(gradients)]
        for run in runs:
            run.fill(gradients)
        self._unscale(runs)
        if self._complete(runs):
            self._clipping.apply([g for run in runs for g in run.single_gradients])
            self.update_all(runs)
        if self.use_ema:
            self._average(runs)
        for run in runs:
            run.hand_out()
        self._calls += 1

    def adopt(self, variables: Sequence[Variable]) -> None:
        """Let the numbers of variables lie where they do after a step, in an array of all of them.

        A CUDA graph finds them there in each launch, wherever somebody has set them meanwhile. The
        optimizer must be built for them.
        """
        for flat in self._flats:
            flat.adopt(variable for variable in variables if variable in flat.places)

    def gather(self, grads: Sequence[Tensor], variables: Sequence[Variable]) -> list[Tensor]:
        """Copy gradients to where a step wants them: those returned, apply need not copy again."""
        gradients = dict(zip(variables, grads, strict=True))
        found: dict[Variable, Tensor] = {}
        for flat in self._flats:
            own = {v: gradient for v, gradient in gradients.items() if v in flat.places}
            flat.gather(own)
            found |= {variable: Tensor(flat.gathered(variable)) for variable in own}
        return [found[variable] for variable in variables]

    def arrays(self) -> list[Array]:
        """Where weights and gradients lie: elsewhere after `build`, or on another device."""
        return [array for flat in self._flats for array in (flat.weights, flat.gradients)]

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Tensor | Array, Variable]]) -> None:
        """Do one step with pairs of a gradient and its variable: zip(grads, variables)."""
        grads, variables = zip(*grads_and_vars, strict=True)
        self.apply(grads, variables)

    def scale_loss(self, loss: Tensor) -> Tensor:
        """The loss to be differentiated: multiplied by loss_scale_factor, if there is one."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def _unscale(self, runs: list[Run]) -> None:
        if self.loss_scale_factor is not None:
            for run in runs:
                run.gradients[...] /= self.loss_scale_factor

    def _complete(self, runs: list[Run]) -> bool:
        """Whether it is time for a step, with the mean of the gradients that have been added up."""
        steps = self.gradient_accumulation_steps
        if steps is None:
            return True
        due = (self._calls + 1) % steps == 0
        for run in runs:
            gradients, total = run.gradients, run.state[ACCUMULATOR]
            total += gradients
            if due:
                gradients[...] = total / steps
                total[...] = 0
        return due

    def update_all(self, runs: list[Run]) -> None:
        """Do one update of these weights."""
        for run in runs:
            decay = self._decay(run.flat)
            if self.one_by_one:
                for w, g, state in run.singles():
                    self.update(w, g, state, decay)
            else:
                self.update(run.weights, run.gradients, run.state, decay)

    def _decay(self, flat: Flat) -> float:
        """The share of these weights that a step takes off."""
        return self.learning_rate * (self.weight_decay or 0.0) if flat.decays else 0.0

    def update(self, w: Array, g: Array, state: dict[str, Array], decay: float) -> None:
        """Update arrays in place. They are flat and hold many variables, unless `one_by_one`.

        Args:
            w: weights.
            g: their gradients.
            state: the arrays that `slots` names.
            decay: the share of w to be taken off first.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update.")

    def _average(self, runs: list[Run]) -> None:
        momentum = self.ema_momentum if self.iterations else 0.0  # begin with the first weights
        frequency = self.ema_overwrite_frequency
        overwrite = frequency is not None and (self.iterations + 1) % frequency == 0
        for run in runs:
            w, average = run.weights, run.state[AVERAGE]
            average *= momentum
            average += (1 - momentum) * w
            if overwrite:
                w[...] = average

    def move(self, device: str) -> None:
        """Put the state on another device, as the variables are; see Model.to."""
        for flat in self._flats:
            flat.move(device)

    def swap_averages(self) -> None:
        """Exchange the weights and their averages; a second call exchanges them back.

        Raises:
            ValueError: there are no averages.
        """
        for variable, average in self._averages():
            weights = variable.numpy()
            variable.assign(average)
            average[...] = array_module(average).asarray(weights)

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Give these variables their averages, as fit does in the end; without use_ema, nothing."""
        if not self.use_ema:
            return
        wanted = set(var_list)
        for variable, average in self._averages():
            if variable in wanted:
                variable.assign(average)

    def restart_averages(self) -> None:
        """Let the averages be what the weights are now.

        Raises:
            ValueError: there are no averages.
        """
        for variable, average in self._averages():
            average[...] = variable.data

    def _averages(self) -> list[tuple[Variable, Array]]:
        if not self.use_ema:
            raise ValueError(
                f"{type(self).__name__}: keeps no averages of the weights. Make it with "
                f"use_ema=True."
            )
        return [
            (variable, flat.part(flat.state[AVERAGE], variable))
            for flat in self._flats
            for variable in flat.places
        ]

    @property
    def variables(self) -> list[Array]:
        """Copies of all that a later run needs to go on; see state()."""
        return self.state()

    def state(self) -> list[Array]:
        """All that a later run needs to go on, copied, in the order in which Keras stores it.

        Iterations (calls of apply, if gradients are accumulated), learning rate (unless it follows
        a schedule), averages, accumulated gradients, then the state of the variables: Adam's m and
        v of the first, m and v of the second, and so on. Before the first step there are only the
        first two.
        """
        numbers = [np.array(self._calls)]
        if not callable(self._learning_rate):
            numbers.append(np.array(self._learning_rate, np.float32))
        return [*numbers, *(on_cpu(part).copy() for part in self._state_parts())]

    def _state_parts(self) -> list[Array]:
        flat_of = {variable: flat for flat in self._flats for variable in flat.places}
        parts = [
            flat_of[variable].part(flat_of[variable].state[slot], variable)
            for group in self._all_slots()
            for variable in self._variables
            for slot in group
            if slot in flat_of[variable].state
        ]
        return [*parts, *self.numbers()] if self.built else []

    def numbers(self) -> list[Array]:
        """Single numbers, as arrays of shape (), that belong to the state and not to a variable."""
        return []

    def load_state(self, arrays: Sequence[Array]) -> None:
        """Go on from what state() has returned.

        Raises:
            ValueError: number or shapes of the arrays do not fit; then nothing was changed.
        """
        who = f"{type(self).__name__}.load_state"
        parts, before = self._state_parts(), 1 if callable(self._learning_rate) else 2
        if len(arrays) != len(parts) + before:
            raise ValueError(
                f"{who}: wants {len(parts) + before} arrays, but got {len(arrays)}. Call "
                f"build(variables) first, with the variables and the kind of optimizer as saved."
            )
        for k, (part, array) in enumerate(zip(parts, arrays[before:], strict=True)):
            if part.shape != np.shape(array):
                raise ValueError(
                    f"{who}: array {k + before} has shape {np.shape(array)}, wanted was "
                    f"{part.shape}."
                )
        self._calls = int(arrays[0])
        if before == 2 and np.float32(self.learning_rate) != arrays[1]:
            self.learning_rate = float(arrays[1])  # else keep the exact number that was given
        for part, array in zip(parts, arrays[before:], strict=True):
            part[...] = array_module(part).asarray(array)

    def exact_state(self) -> dict[str, Any]:
        """What state() rounds, as Keras does, and who goes on to the same bits needs exactly."""
        rate = self._learning_rate
        return {} if callable(rate) else {"learning_rate": rate}

    def load_exact_state(self, state: dict[str, Any]) -> None:
        """Go on from what exact_state() has returned."""
        if state:
            self.learning_rate = state["learning_rate"]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an optimizer like this one, without its state."""
        config = {option: getattr(self, option) for option in OPTIONS}
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            config["learning_rate"] = saved_form("optimizers.schedules", rate)
        elif callable(rate):
            raise ValueError(
                f"{type(self).__name__}: a function as learning rate cannot be saved. Use a "
                f"schedule of minicnn.optimizers.schedules."
            )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """Make an optimizer from what get_config() has returned."""
        return cls(**config)
