"""Neurons of several inputs: the product and the maximum of sums of spikes, sent as graded spikes."""

from collections.abc import Callable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from spikesim.description import whole
from spikesim.errors import DescriptionError
from spikesim.neurons.graded import Graded, spike_size
from spikesim.synapses import Receptor, RunningSum

MOST_INPUTS = 64


def multiplying(emit: Callable) -> Callable:
    """The step of a neuron whose value is a b."""

    def step(sent, elapsed, a, b, injected, quantum, least, most, burst):
        size = emit(a * b, sent, quantum, least, most, burst)
        return sent + size, elapsed + 1, size

    return step


def multiplying_means(emit: Callable) -> Callable:
    """The step of a neuron whose value is t (a / t) (b / t)."""

    def step(sent, elapsed, a, b, injected, quantum, least, most, burst):
        t = elapsed + 1
        size = emit(a * (b / t), sent, quantum, least, most, burst)
        return sent + size, t, size

    return step


def choosing(emit: Callable) -> Callable:
    """The step of a neuron whose value is the largest of its sums."""

    def step(sent, elapsed, *given):
        quantum, least, most, burst = given[-4:]
        size = emit(max(*given[:-5]), sent, quantum, least, most, burst)
        return sent + size, elapsed + 1, size

    return step


class Combining(Graded):
    """Base of the neurons that combine several running sums."""

    STATE: ClassVar[tuple[str, ...]] = ("sent", "elapsed")
    SEPARATE: ClassVar[bool] = True
    INJECTED: ClassVar[bool] = False
    if TYPE_CHECKING:
        receptors: Mapping[str, Receptor] = field(init=False)  # follows from the others, so it is no field

    def inputs_named(self) -> tuple[str, ...]:
        """The names of the receptors."""
        return ()

    def check(self) -> None:
        super().check()
        object.__setattr__(self, "receptors", MappingProxyType({name: RunningSum() for name in self.inputs_named()}))

    def coefficients(self, h):
        return self.firing()

    def receptor_coefficients(self, h):
        return {key: {} for key in self.receptors}


class Product(Combining):
    """Sends the product of two running sums as graded spikes.

        a, b  += the weights that arrive at the receptors a and b, in each step
        value  = a b, or a b / t where ``averaged``, in step t = 1, 2, ...
        wanted = floor(value / quantum + 1/2), clipped to [least, most]
        size   = wanted - sent, clipped to [-burst, burst];   sent += size

    Parameters: quantum, least, most, burst, averaged, as of `SigmaDelta`; no current can be injected. ``initial={"a": ...}``
    sets a sum at the start. With ``averaged`` it sends the product of the mean inputs in each step.
    """

    def inputs_named(self) -> tuple[str, ...]:
        return "a", "b"

    def membrane(self) -> Callable:
        return (multiplying_means if self.averaged else multiplying)(spike_size)


class Maximum(Combining):
    """Sends the largest of several running sums as graded spikes.

        x0, x1, ... += the weights that arrive at the receptors x0, x1, ..., in each step
        value  = max(x0, x1, ...), which is also t times the largest mean input of t steps
        wanted = floor(value / quantum + 1/2), clipped to [least, most]
        size   = wanted - sent, clipped to [-burst, burst];   sent += size

    Parameters: inputs, their number, from 2 on; quantum, least, most, burst, as of `SigmaDelta`; no current can be injected.
    ``averaged`` makes no difference. ``initial={"x0": ...}`` sets a sum at the start.
    """

    inputs: int = whole(default=2, at_least=2)

    def check(self) -> None:
        if self.inputs > MOST_INPUTS:
            raise DescriptionError(f"Maximum.inputs: expected at most {MOST_INPUTS}, got {self.inputs}; take the maximum of maxima")
        super().check()

    def inputs_named(self) -> tuple[str, ...]:
        return tuple(f"x{k}" for k in range(self.inputs))

    def membrane(self) -> Callable:
        return choosing(spike_size)
