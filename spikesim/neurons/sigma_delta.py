"""The sigma-delta neuron, which sends any function of its input as graded spikes."""

from collections.abc import Callable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, ClassVar

from spikesim.description import checked_number, real
from spikesim.errors import DescriptionError, KindError, unknown_name
from spikesim.neurons.activations import ACTIVATIONS
from spikesim.neurons.graded import Graded, spike_size
from spikesim.synapses import JUMP, Delta, Receptor


def settling(activation: Callable, emit: Callable) -> Callable:
    """The step of a neuron whose value is f(u)."""

    def step(u, sent, elapsed, current, jump, conductance, pull, injected, i_e, quantum, least, most, burst, *parameters):
        u = u + (i_e + injected) + jump
        size = emit(activation(u, *parameters), sent, quantum, least, most, burst)
        return u, sent + size, elapsed + 1, size

    return step


def averaging(activation: Callable, emit: Callable) -> Callable:
    """The step of a neuron whose value is t f(u / t) in its t-th step."""

    def step(u, sent, elapsed, current, jump, conductance, pull, injected, i_e, quantum, least, most, burst, *parameters):
        u = u + (i_e + injected) + jump
        t = elapsed + 1
        size = emit(t * activation(u / t, *parameters), sent, quantum, least, most, burst)
        return u, sent + size, t, size

    return step


class SigmaDelta(Graded):
    """Sums its input, and sends the changes of a function of the sum as graded spikes.

        u     += i_e + I + the weights that arrive, in each step
        value  = f(u), or t f(u / t) where ``averaged``, in step t = 1, 2, ...
        wanted = floor(value / quantum + 1/2), clipped to [least, most]
        size   = wanted - sent, clipped to [-burst, burst];   sent += size

    A size other than 0 is a spike. If the input comes once and then no more, ``sent`` settles where it times the quantum is
    the nearest multiple to f(u). If it keeps coming, ``averaged`` makes it the number of steps times f of the mean input, as
    long as the bursts keep pace. With the function "identity" the neuron passes sums of spikes on; the error of rounding
    stays in u and is made good later.

    | parameter  | unit | meaning |
    |------------|------|---------|
    | function   |      | name of f, one of `spikesim.neurons.activations.ACTIVATIONS` |
    | quantum    | mV   | what a spike of size 1 stands for |
    | least, most |     | bounds of ``sent``, whole numbers or infinite |
    | burst      |      | largest size of a spike, up to 2**30; with 1 spikes are +1 or -1 |
    | averaged   |      | whether the input is a mean over steps |
    | i_e        | pA   | added to u in each step, whatever its length, as are currents of stimuli |
    | parameters |      | the function's own: clamp(low, high), leaky_relu(slope), softplus(beta), elu(scale, alpha, rate) |

    Every number but ``burst`` may be an array with one value a neuron, or a distribution. ``initial={"u": ...}`` sets the
    sum at the start. While value / quantum is not finite (the reciprocal of 0) the neuron stays silent and ``sent`` as it
    is. A float32 state loses digits of long sums; use float64 for them.

    Source: neurons that send the quantised change of their activation, O'Connor & Welling (2016); spiking as sigma-delta
    coding, Zambrano & Bohte (2016); bounded counts with negative spikes after the ST-BIF neuron of SpikeZIP-TF, You et al.
    (2024), and the signed neuron of Fast-SNN, Hu et al. (2023).
    """

    STATE: ClassVar[tuple[str, ...]] = ("u", "sent", "elapsed")
    function: str = "relu"
    i_e: Any = real(default=0.0, unit="pA", varies=True)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    receptors: Mapping[str, Receptor] = field(default_factory=lambda: {"input": Delta()})

    def check(self) -> None:
        super().check()
        self.check_receptors((JUMP,))
        if not isinstance(self.function, str) or self.function not in ACTIVATIONS:
            raise unknown_name("function", self.function, ACTIVATIONS, where="SigmaDelta.function")
        object.__setattr__(self, "parameters", MappingProxyType(_checked_parameters(self.function, self.parameters)))

    def membrane(self) -> Callable:
        return (averaging if self.averaged else settling)(ACTIVATIONS[self.function].function, spike_size)

    def coefficients(self, h):
        return {"i_e": self.i_e} | self.firing() | dict(self.parameters)

    def receptor_coefficients(self, h):
        return {key: {} for key in self.receptors}


def _checked_parameters(function: str, given: Any) -> dict[str, Any]:
    """The parameters of a function in its order, each checked."""
    wanted, what = ACTIVATIONS[function].parameters, "SigmaDelta.parameters"
    if not isinstance(given, Mapping):
        raise KindError(f"{what}: expected a mapping from name to number, got {given!r}")
    for name in given:
        if name not in wanted:
            raise unknown_name(f"parameter of {function}", name, wanted, where=what)
    missing = [name for name in wanted if name not in given]
    if missing:
        raise DescriptionError(f"{what}: {function} needs {', '.join(wanted)}, missing: {', '.join(missing)}")
    return {name: checked_number(given[name], f"{what}[{name!r}]", bounds) for name, bounds in wanted.items()}
