"""What every neuron model is: parameters, receptors, state variables and one scalar membrane step."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spikesim.connectivity.rules import Rule
from spikesim.description import Description
from spikesim.errors import DescriptionError, KindError
from spikesim.synapses import Receptor


class Neuron(Description):
    """Base of all neuron models.

    The membrane step is a pure scalar function, run as it is by the reference engine and compiled by the others:

        step(*state, current, jump, conductance, pull, injected, *coefficients) -> (*state, spike)

    ``current``, ``jump``, ``conductance`` are the sums of what the receptors of that kind contribute, ``pull`` is
    the sum of conductance x reversal potential, ``injected`` is the current of the stimuli (pA). It may use
    arithmetic, comparisons, conditional expressions, min, max, abs, the functions of math, and pure scalar functions that it
    closes over, but no names of its module. An exponential that overflows is an error to the reference engine, a division by
    zero likewise; a step must avoid both.

    GRADED: ``spike`` is a whole number below 2**31, the size of the spike, which may be negative; 0 is none. The size multiplies
    the weights. SEPARATE: instead of the four sums the step is given the contribution of each receptor, in their order.
    INJECTED: stimuli may inject current. STILL: state variables that stay 0 once they are, and for each the coefficient that must
    then be 0; engines need not keep them.
    """

    STATE: ClassVar[tuple[str, ...]] = ("v", "refractory")
    EXACT: ClassVar[bool] = False  # whole numbers beyond 2**24 occur, which need float64
    GRADED: ClassVar[bool] = False
    SEPARATE: ClassVar[bool] = False
    INJECTED: ClassVar[bool] = True
    STILL: ClassVar[Mapping[str, str]] = MappingProxyType({})
    RESERVED: ClassVar[tuple[str, ...]] = ("spikes", "rate", "counts")
    if TYPE_CHECKING:
        receptors: Mapping[str, Receptor]  # a field of every model

    def check_receptors(self, allowed: tuple[str, ...]) -> None:
        """Validate the ``receptors`` field: names, kinds of receptor."""
        name = type(self).__name__
        receptors = self.receptors
        if not isinstance(receptors, Mapping):
            raise KindError(f"{name}.receptors: expected a mapping from name to receptor, got {receptors!r}")
        for key, receptor in receptors.items():
            if not isinstance(key, str) or not key.isidentifier() or key in self.STATE + self.RESERVED:
                raise DescriptionError(f"{name}.receptors: {key!r} cannot name a receptor; use an identifier "
                                       f"other than {', '.join(self.STATE + self.RESERVED)}")  # fmt: skip
            if not isinstance(receptor, Receptor):
                raise KindError(f"{name}.receptors[{key!r}]: expected a receptor such as ExponentialCurrent(tau=5.0), got {receptor!r}")
            if receptor.KIND not in allowed:
                raise DescriptionError(f"{name}.receptors[{key!r}]: {type(receptor).__name__} is a {receptor.KIND} receptor; "
                                       f"{name} takes {', '.join(allowed)}")  # fmt: skip
        parts = [part for key, receptor in receptors.items() for part in _parts(key, receptor)]
        for part in parts:
            if parts.count(part) > 1:
                raise DescriptionError(f"{name}.receptors: {part!r} would name a variable of two receptors; rename one of them")
        object.__setattr__(self, "receptors", MappingProxyType(dict(receptors)))

    def check_weights(self, rule: Rule, weight: Any, what: str) -> None:
        """Raise `DescriptionError` for weights that the model cannot receive."""

    def check_initial(self, name: str, value: Any, what: str) -> None:
        """Raise `DescriptionError` for a value that the variable ``name`` cannot start from."""

    def check_stimulus(self, stimulus: Any, what: str) -> None:
        """Raise `UnsupportedError` for a stimulus that the model does not take."""

    def membrane(self) -> Callable:
        """The scalar step that these parameters call for."""
        raise NotImplementedError

    def coefficients(self, h: float) -> dict[str, Any]:
        """The membrane step's coefficients for a time step of h ms, by name, in the order of its arguments."""
        raise NotImplementedError

    def receptor_coefficients(self, h: float) -> dict[str, dict[str, Any]]:
        """For each receptor its step's coefficients, in the order of its arguments."""
        raise NotImplementedError

    def initial(self) -> dict[str, Any]:
        """The values that state variables have at time 0 unless the population says otherwise."""
        raise NotImplementedError

    def largest_spike(self) -> int:
        """The largest size of a spike."""
        return 1

    def check_state(self, name: str, state: Mapping[str, np.ndarray], dt: float) -> None:
        """Raise if population ``name`` has come into a state that must not be; asked after each run of an `EXACT` model."""

    def variables(self) -> tuple[str, ...]:
        """All state variables: the membrane's, then each receptor's, the first under the receptor's own name."""
        names = list(self.STATE)
        for key, receptor in self.receptors.items():
            names += _parts(key, receptor)
        return tuple(names)


def _parts(name: str, receptor: Receptor) -> list[str]:
    """The names of a receptor's state variables."""
    return [name, *(f"{name}_{part}" for part in receptor.STATE[1:])] if receptor.STATE else []


def reset_below_threshold(model: str, v_reset: Any, v_threshold: Any) -> None:
    """Raise `DescriptionError` unless every reset potential lies below its threshold."""
    if np.ndim(v_reset) and np.ndim(v_threshold) and np.shape(v_reset) != np.shape(v_threshold):
        raise DescriptionError(f"{model}: v_reset has shape {np.shape(v_reset)}, v_threshold {np.shape(v_threshold)}")
    if np.any(np.asarray(v_reset) >= np.asarray(v_threshold)):
        raise DescriptionError(f"{model}: v_reset must lie below v_threshold, got v_reset={v_reset}, v_threshold={v_threshold}")
