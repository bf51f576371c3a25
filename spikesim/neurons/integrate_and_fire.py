"""The integrate-and-fire neuron without leak, the neuron of converted networks."""

from collections.abc import Callable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from spikesim import propagators
from spikesim.description import real
from spikesim.errors import DescriptionError
from spikesim.neurons.model import Neuron, reset_below_threshold
from spikesim.synapses import CURRENT, JUMP, Delta, Receptor


def subtracting_step(v, refractory, current, jump, conductance, pull, injected,
                     drift, gain, v_threshold, t_ref):  # fmt: skip
    """Soft reset: the threshold is subtracted and the rest of the potential kept."""
    integrated = v + (drift + gain * injected) + current + jump
    v = v if refractory > 0 else integrated
    refractory = refractory - 1 if refractory > 0 else refractory
    spike = v >= v_threshold
    return v - v_threshold if spike else v, t_ref if spike else refractory, spike


def resetting_step(v, refractory, current, jump, conductance, pull, injected,
                   drift, gain, v_threshold, v_reset, t_ref):  # fmt: skip
    """Hard reset: the potential returns to v_reset."""
    integrated = v + (drift + gain * injected) + current + jump
    v = v if refractory > 0 else integrated
    refractory = refractory - 1 if refractory > 0 else refractory
    spike = v >= v_threshold
    return v_reset if spike else v, t_ref if spike else refractory, spike


RESETS = {"subtract": subtracting_step, "value": resetting_step}


class IF(Neuron):
    """Integrate-and-fire neuron without leak.

        c_m dV/dt = i_e + I(t) + sum of currents;  V >= v_threshold is a spike

    | parameter   | unit | meaning |
    |-------------|------|---------|
    | c_m         | pF   | membrane capacity |
    | v_threshold | mV   | firing threshold; infinite for a neuron that only integrates |
    | reset       |      | "subtract": V -= v_threshold (soft); "value": V = v_reset (hard) |
    | v_reset     | mV   | potential after a hard reset |
    | t_ref       | ms   | absolute refractory time, a multiple of the time step |
    | i_e         | pA   | constant current |

    With the defaults and dt = 1 everything is dimensionless: V gains i_e and the weights that arrive in each step.
    Source: soft reset after Rueckauer et al. (2017).
    """

    STILL: ClassVar[Mapping[str, str]] = MappingProxyType({"refractory": "t_ref"})
    c_m: Any = real(default=1.0, unit="pF", above=0.0, varies=True)
    v_threshold: Any = real(default=1.0, unit="mV", varies=True, infinite=True)
    v_reset: Any = real(default=0.0, unit="mV", varies=True)
    reset: str = "subtract"
    t_ref: Any = real(default=0.0, unit="ms", at_least=0.0, varies=True)
    i_e: Any = real(default=0.0, unit="pA", varies=True)
    receptors: Mapping[str, Receptor] = field(default_factory=lambda: {"input": Delta()})

    def check(self) -> None:
        self.check_receptors((JUMP, CURRENT))
        if not isinstance(self.reset, str) or self.reset not in RESETS:
            raise DescriptionError(f"IF.reset: expected {' or '.join(map(repr, RESETS))}, got {self.reset!r}")
        if not isinstance(self.v_threshold, float | np.ndarray):
            return
        if self.reset == "subtract" and np.any(np.asarray(self.v_threshold) <= 0.0):
            raise DescriptionError(f"IF.v_threshold: a soft reset subtracts it, so it must be positive, got {self.v_threshold}")
        if self.reset == "value" and isinstance(self.v_reset, float | np.ndarray):
            reset_below_threshold("IF", self.v_reset, self.v_threshold)

    def membrane(self) -> Callable:
        return RESETS[self.reset]

    def coefficients(self, h):
        gain = propagators.constant_current(h, 0.0, self.c_m)
        firing = {"v_threshold": self.v_threshold, "v_reset": self.v_reset, "t_ref": np.rint(np.asarray(self.t_ref) / h)}
        if self.reset == "subtract":
            del firing["v_reset"]
        return {"drift": gain * self.i_e, "gain": gain} | firing

    def receptor_coefficients(self, h):
        return {key: receptor.coefficients(h, 0.0, self.c_m) for key, receptor in self.receptors.items()}

    def initial(self):
        return {"v": 0.0}
