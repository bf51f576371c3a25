"""Receptors: what an arriving spike of weight w does to a neuron.

Each receptor is a scalar step ``step(*state, x, *coefficients) -> (*state, contribution)``: ``x`` is the summed
weight that arrives at the end of the step, ``contribution`` what the state at the start of the step gives to the
membrane during it. The membrane decides the coefficients: with exact propagators the contribution of a current is
in mV; beside conductances it is the current (pA) or conductance (nS) at the middle of the step.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from spikesim import propagators
from spikesim.description import Description, real

JUMP, CURRENT, CONDUCTANCE, SUM = "jump", "current", "conductance", "sum"


class Receptor(Description):
    """Base of all receptors."""

    KIND: ClassVar[str]  # which input of the membrane it feeds
    UNIT: ClassVar[str]  # of a weight
    STATE: ClassVar[tuple[str, ...]] = ()  # the variable named after the receptor comes first
    step: ClassVar[Callable]

    def coefficients(self, h: float, leak_rate: Any, c_m: Any) -> dict[str, Any]:
        """The step's coefficients by name for a membrane of leak rate 1/tau_m (1/ms) and capacity c_m (pF)."""
        raise NotImplementedError

    def midpoint_coefficients(self, h: float) -> dict[str, Any]:
        """The step's coefficients when the contribution is the value at the middle of the step."""
        raise NotImplementedError


def delta_step(x):
    """V jumps by x."""
    return (x,)


def sum_step(total, x):
    """All that has arrived so far."""
    return total + x, total + x


def exponential_step(y, x, decay, gain):
    """dy/dt = -y / tau, y += x."""
    return decay * y + x, gain * y


def alpha_step(y, slope, x, decay, ramp, peak, gain, slope_gain):
    """dy/dt = slope - y / tau, dslope/dt = -slope / tau, slope += x e / tau."""
    return decay * y + ramp * slope, decay * slope + peak * x, gain * y + slope_gain * slope


class Delta(Receptor):
    """A spike moves the membrane potential by its weight (mV), at once; ignored while refractory."""

    KIND, UNIT = JUMP, "mV"
    step = staticmethod(delta_step)

    def coefficients(self, h, leak_rate, c_m):
        return {}

    def midpoint_coefficients(self, h):
        return {}


class RunningSum(Receptor):
    """The sum of all weights that have arrived, those of this step included; it never decays."""

    KIND, UNIT, STATE = SUM, "mV", ("sum",)
    step = staticmethod(sum_step)

    def coefficients(self, h, leak_rate, c_m):
        return {}

    def midpoint_coefficients(self, h):
        return {}


class ExponentialCurrent(Receptor):
    """I(t) = w exp(-t / tau): a current that jumps by the weight (pA) and decays.

    Parameters: tau (ms), the synaptic time constant.
    """

    KIND, UNIT, STATE = CURRENT, "pA", ("current",)
    step = staticmethod(exponential_step)
    tau: float = real(default=2.0, unit="ms", above=0.0, varies=True)

    def coefficients(self, h, leak_rate, c_m):
        gain = propagators.exponential_current(h, self.tau, leak_rate, c_m)
        return {"decay": propagators.decay(h, self.tau), "gain": gain}

    def midpoint_coefficients(self, h):
        return {"decay": propagators.decay(h, self.tau), "gain": propagators.decay(h / 2, self.tau)}


class AlphaCurrent(Receptor):
    """I(t) = w (t / tau) exp(1 - t / tau): an alpha-shaped current with its peak, the weight (pA), at tau.

    Parameters: tau (ms), the time to peak.
    """

    KIND, UNIT, STATE = CURRENT, "pA", ("current", "slope")
    step = staticmethod(alpha_step)
    tau: float = real(default=2.0, unit="ms", above=0.0, varies=True)

    def coefficients(self, h, leak_rate, c_m):
        return self._kernel(h) | {
            "gain": propagators.exponential_current(h, self.tau, leak_rate, c_m),
            "slope_gain": propagators.alpha_current(h, self.tau, leak_rate, c_m),
        }

    def midpoint_coefficients(self, h):
        half = propagators.decay(h / 2, self.tau)
        return self._kernel(h) | {"gain": half, "slope_gain": half * h / 2}

    def _kernel(self, h):
        decay = propagators.decay(h, self.tau)
        return {"decay": decay, "ramp": h * decay, "peak": math.e / np.asarray(self.tau)}


class ExponentialConductance(Receptor):
    """I(t) = g(t) (reversal - V), g(t) = w exp(-t / tau): a conductance that jumps by the weight (nS) and decays.

    Parameters: tau (ms), the synaptic time constant; reversal (mV), the reversal potential.
    """

    KIND, UNIT, STATE = CONDUCTANCE, "nS", ("conductance",)
    step = staticmethod(exponential_step)
    tau: float = real(default=2.0, unit="ms", above=0.0, varies=True)
    reversal: float = real(default=0.0, unit="mV", varies=True)

    def midpoint_coefficients(self, h):
        return {"decay": propagators.decay(h, self.tau), "gain": propagators.decay(h / 2, self.tau)}
