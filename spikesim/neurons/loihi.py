"""The integer neuron of the Loihi chip, as Lava's fixed-point models compute it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, ClassVar

import numpy as np

from spikesim.description import Distribution, real, whole
from spikesim.errors import ChipOverflowError, DescriptionError, KindError
from spikesim.neurons.model import Neuron
from spikesim.synapses import JUMP, Delta, Receptor

UNITY = 4096  # decays are numbers of 12 bits
SHIFT = 64  # threshold and synaptic input are shifted by 6 bits
HALF = 2**23  # u and v have 24 bits
INPUT = 2**15  # the sum of weights that arrive in a step has 16 bits
NEVER = 2.0**52  # a bound beyond all that these integers reach
OVERFLOWS = ("lava", "strict")
RESETS = ("zero", "subtract")


def shifted_step(x, scale):
    """The sum of the step's weights times a power of two, rounded down."""
    return (math.floor(x * scale),)


class ShiftedSum(Receptor):
    """The synapses of one weight exponent: the weights that arrive in a step are summed, then shifted, floor(2**exponent x sum).

    Parameters: exponent, -8 to 7; weights are whole numbers, -256 to 255.
    """

    KIND, UNIT = JUMP, "mV"
    step = staticmethod(shifted_step)
    exponent: int = whole(default=0, at_least=-8)

    def check(self) -> None:
        if self.exponent > 7:
            raise DescriptionError(f"ShiftedSum.exponent: expected -8 to 7, got {self.exponent}")

    def coefficients(self, h, leak_rate, c_m):
        return {"scale": 2.0**self.exponent}


def either(up, down):
    """A spike of a neuron that sends but one kind."""
    return up or down


def signed(up, down):
    """The size of a ternary neuron's spike."""
    return up * 1 - down * 1


def integers(sent: Callable) -> Callable:
    """The step of a neuron that sends ``sent`` of whether it is above its threshold and whether it is below its lower one."""

    def step(v, u, refractory, clock, fault, found, current, jump, conductance, pull, injected,
             keep_u, keep_v, bias, threshold, low, kept_share, period, interval, offset, widest, edge):  # fmt: skip
        """One step in whole numbers, which float64 holds; what is cut is cut towards zero, u wraps, v stops at its ends."""
        clock = clock + 1.0
        reset = clock - interval * math.floor(clock / interval) == offset
        u = 0.0 if reset else u
        v = 0.0 if reset else v
        u = u * keep_u
        u = (math.floor(u) if u > 0.0 else math.ceil(u)) + 64.0 * jump
        wrong = fault == 0.0 and (abs(jump) >= widest or u > edge or u <= -edge)
        found = (jump if abs(jump) >= widest else u) if wrong else found
        fault = clock if wrong else fault
        u = u - 16777216.0 if u > 8388608.0 else u + 16777216.0 if u <= -8388608.0 else u
        integrated = v * keep_v
        integrated = (math.floor(integrated) if integrated > 0.0 else math.ceil(integrated)) + u + bias + math.floor(injected)
        integrated = min(max(integrated, -8388607.0), 8388607.0)
        v = v if refractory > 0.0 else integrated
        refractory = refractory - 1.0 if refractory > 0.0 else refractory
        spike = v > threshold or v < low
        size = sent(v > threshold, v < low)
        v = kept_share * (v - threshold) if spike else v
        return v, u, period if spike else refractory, clock, fault, found, size

    return step


class LoihiLIF(Neuron):
    """Loihi's current-based leaky integrate-and-fire neuron, bit for bit as Lava's fixed-point models.

        u = cut(u (4095 - du) / 4096) + 64 a,   wrapped once into (-2**23, 2**23]
        v = cut(v (4096 - dv) / 4096) + u + floor(bias_mant 2**bias_exp),   clipped to +-(2**23 - 1)
        v > 64 vth is a spike;  then v = 0  (or v -= 64 vth);  cut rounds towards zero, a is the sum of the weights that arrive

    | parameter  | range          | meaning |
    |------------|----------------|---------|
    | du, dv     | 0 to 4095      | decays of current and potential, in 1/4096 a step |
    | vth        | 0 to 131071    | threshold, in units of 64 |
    | vth_low    | -131072 to 0   | v < 64 vth_low is a spike of size -1 (ternary neuron); None for none |
    | bias_mant  | -4096 to 4095  | mantissa of the bias |
    | bias_exp   | -8 to 7        | its exponent; the chip has 0 to 7 |
    | refractory | 0 to 64        | steps after a spike in which v is held |
    | interval   |                | u = v = 0 in each step t (from 1 on) with t % interval == offset % interval; 0 for never |
    | reset      |                | "zero"; "subtract" for the soft reset, which takes two compartments on the chip |
    | overflow   |                | "lava": u wraps silently; "strict": a run in which it would, or 2**15 or more arrives, is an error |

    All but interval, offset, reset and overflow may differ from neuron to neuron. A current that is injected adds to the bias,
    rounded down; dt = 1 makes a step of 1 ms. Initial values of u and v are whole numbers of 32 bits.
    Source: Davies et al. (2018); arithmetic of lava-nc 0.10.0 (Intel, 2024); soft reset in two compartments: Rueckauer et al. (2021).
    """

    STATE: ClassVar[tuple[str, ...]] = ("v", "u", "refractory", "clock", "fault", "found")
    EXACT: ClassVar[bool] = True
    du: Any = real(default=0.0, at_least=0.0, at_most=4095.0, varies=True)
    dv: Any = real(default=0.0, at_least=0.0, at_most=4095.0, varies=True)
    vth: Any = real(default=10.0, at_least=0.0, at_most=131071.0, varies=True)
    vth_low: Any = None
    bias_mant: Any = real(default=0.0, at_least=-4096.0, at_most=4095.0, varies=True)
    bias_exp: Any = real(default=0.0, at_least=-8.0, at_most=7.0, varies=True)
    refractory: Any = real(default=0.0, at_least=0.0, at_most=64.0, varies=True)
    interval: int = whole(default=0)
    offset: int = whole(default=0)
    reset: str = "zero"
    overflow: str = "lava"
    receptors: Mapping[str, Receptor] = field(default_factory=lambda: {"input": ShiftedSum()})

    def check(self) -> None:
        self.check_receptors((JUMP,))
        for name, receptor in self.receptors.items():
            if not isinstance(receptor, ShiftedSum | Delta):
                raise DescriptionError(f"LoihiLIF.receptors[{name!r}]: expected ShiftedSum(exponent=...), got {receptor!r}")
        for name, known in (("overflow", OVERFLOWS), ("reset", RESETS)):
            if getattr(self, name) not in known:
                raise DescriptionError(f"LoihiLIF.{name}: expected {' or '.join(map(repr, known))}, got {getattr(self, name)!r}")
        self._check_low()
        object.__setattr__(self, "GRADED", self.vth_low is not None)
        for name in ("du", "dv", "vth", "bias_mant", "bias_exp", "refractory"):
            value = getattr(self, name)
            if isinstance(value, Distribution):
                continue
            if np.any(np.rint(value) != value):
                raise DescriptionError(
                    f"LoihiLIF.{name}: expected whole numbers, got {np.ravel(value)[np.ravel(np.rint(value) != value)][0]:g}"
                )

    def _check_low(self) -> None:
        if self.vth_low is None:
            return
        if isinstance(self.vth_low, bool) or not isinstance(self.vth_low, int | float | np.integer) or self.vth_low != int(self.vth_low):
            raise KindError(f"LoihiLIF.vth_low: expected a whole number or None, got {self.vth_low!r}")
        if not -131072 <= self.vth_low <= 0:
            raise DescriptionError(f"LoihiLIF.vth_low: expected -131072 to 0, got {self.vth_low}")
        if self.reset == "subtract" or np.any(self.refractory):
            raise DescriptionError("LoihiLIF.vth_low: a ternary neuron has neither a soft reset nor a refractory time")

    def membrane(self) -> Callable:
        return integers(signed if self.GRADED else either)

    def coefficients(self, h):
        strict = self.overflow == "strict"
        return {
            "keep_u": (UNITY - 1 - self.du) / UNITY, "keep_v": (UNITY - self.dv) / UNITY,
            "bias": np.floor(self.bias_mant * 2.0 ** np.asarray(self.bias_exp)), "threshold": self.vth * SHIFT,
            "low": -NEVER if self.vth_low is None else float(self.vth_low * SHIFT), "kept_share": float(self.reset == "subtract"),
            "period": self.refractory, "interval": float(self.interval or 1),
            "offset": float(self.offset % self.interval) if self.interval else 2.0,
            "widest": float(INPUT) if strict else NEVER, "edge": float(HALF) if strict else NEVER,
        }  # fmt: skip

    def receptor_coefficients(self, h):
        return {key: receptor.coefficients(h, 0.0, 1.0) for key, receptor in self.receptors.items()}

    def initial(self):
        return {"v": 0.0}

    def check_state(self, name, state, dt):
        wrong = np.flatnonzero(state["fault"])
        if len(wrong) == 0:
            return
        first = wrong[np.argmin(state["fault"][wrong])]
        step, value = int(state["fault"][first]), int(state["found"][first])
        least, most, what = (-HALF + 1, HALF, "u") if abs(value) >= HALF else (-INPUT + 1, INPUT - 1, "the sum of weights")
        raise ChipOverflowError(f"population {name!r}: neuron {first} in step {step}: {what} is {value:,}, the chip holds {least:,} to "
                                f"{most:,} ({len(wrong)} neurons overflow); lower the weights or raise du")  # fmt: skip
