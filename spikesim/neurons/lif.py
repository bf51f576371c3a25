"""The leaky integrate-and-fire neuron."""

from collections.abc import Callable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from spikesim import propagators
from spikesim.description import real
from spikesim.neurons.model import Neuron, reset_below_threshold
from spikesim.synapses import CONDUCTANCE, CURRENT, JUMP, ExponentialCurrent, Receptor


def exact_step(v, refractory, current, jump, conductance, pull, injected,
               decay, drift, gain, v_threshold, v_reset, t_ref):  # fmt: skip
    """Currents only: the membrane equation is linear and solved exactly."""
    integrated = decay * v + (drift + gain * injected) + current + jump
    v = v if refractory > 0 else integrated
    refractory = refractory - 1 if refractory > 0 else refractory
    spike = v >= v_threshold
    return v_reset if spike else v, t_ref if spike else refractory, spike


def conductance_step(v, refractory, current, jump, conductance, pull, injected,
                     leak, leak_pull, rate, v_threshold, v_reset, t_ref):  # fmt: skip
    """Exponential integration with the conductances at the middle of the step (second order).

    exp(-x) is the (2, 3) Pade approximant: a rational function, so every engine computes the same bits;
    its relative error is below x**6 / 7200, and it decays for every x > 0.
    """
    total = leak + conductance
    target = (leak_pull + pull + current + injected) / total
    x = rate * total
    shrink = (60 - 24 * x + 3 * x * x) / (60 + x * (36 + x * (9 + x)))
    integrated = target + (v - target) * shrink + jump
    v = v if refractory > 0 else integrated
    refractory = refractory - 1 if refractory > 0 else refractory
    spike = v >= v_threshold
    return v_reset if spike else v, t_ref if spike else refractory, spike


class LIF(Neuron):
    """Leaky integrate-and-fire neuron with any mix of delta, current and conductance receptors.

        c_m dV/dt = -(c_m / tau_m) (V - v_rest) + i_e + I(t) + sum of currents + sum of g (reversal - V)

    V >= v_threshold at the end of a step is a spike; V is then held at v_reset for t_ref. Without conductances
    the equation is solved by exact propagators (Rotter & Diesmann 1999), otherwise by an exponential midpoint
    rule of second order.

    | parameter   | unit | meaning |
    |-------------|------|---------|
    | tau_m       | ms   | membrane time constant |
    | c_m         | pF   | membrane capacity |
    | v_rest      | mV   | resting potential, also the initial V |
    | v_reset     | mV   | potential after a spike |
    | v_threshold | mV   | firing threshold |
    | t_ref       | ms   | absolute refractory time, a multiple of the time step |
    | i_e         | pA   | constant current |

    Every parameter is a number, an array with one number a neuron, or a distribution.
    Source: Lapicque (1907); the defaults are those of NEST's iaf_psc_exp.
    """

    STILL: ClassVar[Mapping[str, str]] = MappingProxyType({"refractory": "t_ref"})
    tau_m: Any = real(default=10.0, unit="ms", above=0.0, varies=True)
    c_m: Any = real(default=250.0, unit="pF", above=0.0, varies=True)
    v_rest: Any = real(default=-70.0, unit="mV", varies=True)
    v_reset: Any = real(default=-70.0, unit="mV", varies=True)
    v_threshold: Any = real(default=-55.0, unit="mV", varies=True, infinite=True)
    t_ref: Any = real(default=2.0, unit="ms", at_least=0.0, varies=True)
    i_e: Any = real(default=0.0, unit="pA", varies=True)
    receptors: Mapping[str, Receptor] = field(default_factory=lambda: {"exc": ExponentialCurrent(), "inh": ExponentialCurrent()})

    def check(self) -> None:
        self.check_receptors((JUMP, CURRENT, CONDUCTANCE))
        if all(isinstance(x, float | np.ndarray) for x in (self.v_reset, self.v_threshold)):
            reset_below_threshold("LIF", self.v_reset, self.v_threshold)

    def conducts(self) -> bool:
        """Whether any receptor is a conductance."""
        return any(receptor.KIND == CONDUCTANCE for receptor in self.receptors.values())

    def membrane(self) -> Callable:
        return conductance_step if self.conducts() else exact_step

    def coefficients(self, h):
        firing = {"v_threshold": self.v_threshold, "v_reset": self.v_reset, "t_ref": np.rint(np.asarray(self.t_ref) / h)}
        leak = self.c_m / self.tau_m
        if self.conducts():
            return {"leak": leak, "leak_pull": leak * self.v_rest + self.i_e, "rate": h / self.c_m} | firing
        gain = propagators.constant_current(h, 1.0 / self.tau_m, self.c_m)
        return {"decay": propagators.decay(h, self.tau_m), "drift": gain * (leak * self.v_rest + self.i_e), "gain": gain} | firing

    def receptor_coefficients(self, h):
        if self.conducts():
            return {key: receptor.midpoint_coefficients(h) for key, receptor in self.receptors.items()}
        return {key: receptor.coefficients(h, 1.0 / self.tau_m, self.c_m) for key, receptor in self.receptors.items()}

    def initial(self):
        return {"v": self.v_rest}
