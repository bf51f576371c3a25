"""The neuron of the TrueNorth chip: whole numbers, one tick a step."""

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

import numpy as np

from spikesim.connectivity.rules import Rule
from spikesim.description import Description, Distribution, flag, real
from spikesim.errors import DescriptionError, KindError, UnsupportedError
from spikesim.neurons.model import Neuron
from spikesim.synapses import JUMP, Delta, Receptor

LARGEST_WEIGHT = 255  # 9 bits with sign: Akopyan et al. (2015)
LARGEST_LEAK = 255  # 9 bits with sign: Cassidy et al. (2013)
LARGEST_THRESHOLD = 2**18 - 1  # 18 bits, also of the negative threshold: Cassidy et al. (2013)
LOWEST, HIGHEST = -(2**19), 2**19 - 1  # the potential, 20 bits with sign: Akopyan et al. (2015)
NEMO_CEILING = 393216  # Plagge et al. (2018), NeMo
VALUE, LINEAR, NONE = range(3)  # gamma, the reset mode
RESETS = {"value": VALUE, "subtract": LINEAR, "none": NONE}
CHOICES = {  # where the sources differ: option, its values, the default first, and who has it so
    "leak_sign": {"plus": "Cassidy et al. (2013)", "minus": "Merolla et al. (2014), table S2"},
    "order": {"synapses_first": "Cassidy et al. (2013), NeMo, RANC", "leak_first": "SANA-FE"},
    "zero_crossing": {"passes": "Cassidy et al. (2013)", "stops": "NeMo"},
    "floor": {"below": "Cassidy et al. (2013), NeMo, RANC in Verilog", "at": "RANC in C++, SANA-FE"},
    "noise": {"threshold": "Cassidy et al. (2013)", "potential": "SANA-FE"},
    "overflow": {"saturate": "ours; the equation is silent", "wrap": "RANC in Verilog", "fire": "NeMo"},
    "reset_encoding": {"exponent": "NeMo: plus or minus 2**k - 1", "plain": "RANC"},
}


class Rules(Description):
    """How disputed points of the neuron are decided; the sources of each value are in `CHOICES`.

    | option         | meaning |
    |----------------|---------|
    | leak_sign      | "plus": the leak is added; "minus": it is subtracted |
    | order          | whether the synapses or the leak come first in a tick |
    | zero_crossing  | a leak with reversal may carry the potential beyond 0 ("passes") or not ("stops") |
    | floor          | the negative threshold acts below it, or at it as well |
    | noise          | the random number raises the threshold, or the potential for good |
    | overflow       | beyond 20 bits: "saturate", "wrap", or "fire" (held to 393,216, where the neuron fires) |
    | reset_encoding | the reset potential is plus or minus 2**k - 1 ("exponent"), or any number ("plain") |
    | mask_bits      | the width of the threshold's mask: 8, after NeMo; at most 16 |
    """

    leak_sign: str = "plus"
    order: str = "synapses_first"
    zero_crossing: str = "passes"
    floor: str = "below"
    noise: str = "threshold"
    overflow: str = "saturate"
    reset_encoding: str = "exponent"
    mask_bits: int = 8

    def check(self) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in choices:
                raise DescriptionError(f"Rules.{name}: expected {' or '.join(map(repr, choices))}, got {value!r}")
        if isinstance(self.mask_bits, bool) or not isinstance(self.mask_bits, int) or not 1 <= self.mask_bits <= 16:
            raise DescriptionError(f"Rules.mask_bits: expected a whole number from 1 to 16, got {self.mask_bits!r}")

    def coefficients(self) -> dict[str, float]:
        """The last arguments of `truenorth_step`."""
        ceiling = NEMO_CEILING if self.overflow == "fire" else HIGHEST
        return {
            "low": float(-NEMO_CEILING if self.overflow == "fire" else LOWEST), "high": float(ceiling),
            "span": 2.0**20 if self.overflow == "wrap" else 0.0, "leak_first": float(self.order == "leak_first"),
            "stops": float(self.zero_crossing == "stops"), "touches": float(self.floor == "at"),
            "shifts": float(self.noise == "potential"), "forces": float(self.overflow == "fire"),
        }  # fmt: skip


def truenorth_step(v, lost, current, jump, conductance, pull, injected,
                   leak, reversal, noise, alpha, beta, v_reset, mode, saturates,
                   low, high, span, leak_first, stops, touches, shifts, forces):  # fmt: skip
    """One tick in whole numbers; the same in integers and in floats that hold them, whose type the results keep.

    After each sum the potential is held to its 20 bits; ``lost`` adds up what that took.
    """
    sum1 = v if leak_first else v + jump
    base = sum1 - span if (span > 0) & (sum1 > high) else sum1 + span if (span > 0) & (sum1 < low) else min(max(sum1, low), high)
    sum2 = base + (leak if (reversal == 0) | (base > 0) else -leak if base < 0 else base)
    stopped = (stops > 0) & (reversal > 0) & (((base > 0) & (sum2 < 0)) | ((base < 0) & (sum2 > 0)))
    sum2 = base - base if stopped else sum2
    leaked = sum2 - span if (span > 0) & (sum2 > high) else sum2 + span if (span > 0) & (sum2 < low) else min(max(sum2, low), high)
    sum3 = leaked + jump if leak_first else leaked
    ready = sum3 - span if (span > 0) & (sum3 > high) else sum3 + span if (span > 0) & (sum3 < low) else min(max(sum3, low), high)
    sum4 = ready + noise if shifts else ready
    v = sum4 - span if (span > 0) & (sum4 > high) else min(max(sum4, low), high)
    lost = lost + abs(sum1 - base) + abs(sum2 - leaked) + abs(sum3 - ready) + abs(sum4 - v)
    upper = alpha if shifts else alpha + noise
    lower = beta if (saturates > 0) | (shifts > 0) else beta + noise
    spike = (v >= upper) | ((forces > 0) & (v >= high))
    below = (v < -lower) | ((touches > 0) & (v == -lower))
    after = v_reset if mode == 0 else v - upper if mode == 1 else v
    raised = -beta if saturates > 0 else -v_reset if mode == 0 else v + lower if mode == 1 else v
    return after if spike else raised if below else v, lost, spike


class TrueNorth(Neuron):
    """The neuron of TrueNorth: one step is one tick, all numbers are whole.

        V += sum of the weights of the spikes that arrive
        V += leak (times the sign of V with ``leak_reversal``)
        V >= v_threshold + (r AND mask):  a spike, and V = v_reset ("value"), V - threshold ("subtract") or V ("none")
        else V < -v_floor:  V = -v_floor, or with ``floor_resets`` V = -v_reset, V + v_floor or V

    | parameter       | bits       | meaning |
    |-----------------|------------|---------|
    | leak            | 9, signed  | added in every tick, -255..255 |
    | leak_reversal   | 1          | the leak goes along with the sign of V, and rests at 0 |
    | stochastic_leak | 1          | V gains the sign of the leak if |leak| reaches a random byte |
    | v_threshold     | 18         | alpha, the threshold |
    | mask            | 8          | masks the random part of the threshold |
    | v_floor         | 18         | beta; -beta is the negative threshold |
    | floor_resets    | 1          | below -beta the potential is reset (kappa = 0) instead of held there (kappa = 1) |
    | reset           | 2          | gamma: "value", "subtract" or "none" |
    | v_reset         | 20, signed | R; plus or minus 2**k - 1 unless `Rules.reset_encoding` is "plain" |

    Each number may be an array with one value a neuron. Use dt=1, whole weights, and delays of 1 to 15. The state variable
    ``lost`` sums what the 20 bits of V could not hold. The stochastic modes run on the chip's emulator only.
    Source: Cassidy et al. (2013), IJCNN; where others differ, see `Rules`.
    """

    STATE = ("v", "lost")
    EXACT = True
    leak: Any = real(default=0.0, at_least=-LARGEST_LEAK, at_most=LARGEST_LEAK, varies=True)
    leak_reversal: bool = flag(default=False)
    stochastic_leak: bool = flag(default=False)
    v_threshold: Any = real(default=1.0, at_least=0.0, at_most=LARGEST_THRESHOLD, varies=True)
    mask: Any = real(default=0.0, at_least=0.0, at_most=2**16 - 1, varies=True)
    v_floor: Any = real(default=float(LARGEST_THRESHOLD), at_least=0.0, at_most=LARGEST_THRESHOLD, varies=True)
    floor_resets: bool = flag(default=False)
    reset: str = "value"
    v_reset: Any = real(default=0.0, at_least=-HIGHEST, at_most=HIGHEST, varies=True)
    rules: Rules = field(default_factory=Rules)
    receptors: Mapping[str, Receptor] = field(default_factory=lambda: {"input": Delta()})

    def check(self) -> None:
        self.check_receptors((JUMP,))
        if not isinstance(self.reset, str) or self.reset not in RESETS:
            raise DescriptionError(f"TrueNorth.reset: expected {' or '.join(map(repr, RESETS))}, got {self.reset!r}")
        if not isinstance(self.rules, Rules):
            raise KindError(f"TrueNorth.rules: expected Rules(...), got {self.rules!r}")
        for name in ("leak", "v_threshold", "mask", "v_floor", "v_reset"):
            _check_whole(getattr(self, name), f"TrueNorth.{name}")
        if np.any(np.asarray(self.mask) >= 2**self.rules.mask_bits):
            raise DescriptionError(f"TrueNorth.mask: expected {self.rules.mask_bits} bits (Rules.mask_bits), got {np.max(self.mask):g}")
        size = np.abs(np.atleast_1d(self.v_reset)).astype(np.int64)
        odd = size[(size & (size + 1)) != 0]
        if len(odd) and self.rules.reset_encoding == "exponent":
            raise DescriptionError(f"TrueNorth.v_reset: expected plus or minus 2**k - 1 (0, 1, 3, 7, ...), got {odd[0]}; the nearest is "
                                   f"{nearest_reset(int(odd[0]))}, or use Rules(reset_encoding='plain')")  # fmt: skip

    @property
    def stochastic(self) -> bool:
        """Whether the neuron draws random numbers."""
        return self.stochastic_leak or bool(np.any(np.asarray(self.mask) > 0))

    def check_weights(self, rule: Rule, weight: Any, what: str) -> None:
        held = getattr(rule, "weights", 1.0)
        _check_whole(weight if isinstance(weight, Distribution) else weight * np.asarray(getattr(held, "weights", held)),
                     f"{what}: weight into TrueNorth neurons")  # fmt: skip

    def check_initial(self, name: str, value: Any, what: str) -> None:
        _check_whole(value, what)
        if name == "v" and (np.min(value) < LOWEST or np.max(value) > HIGHEST):
            raise DescriptionError(f"{what}: expected 20 bits, {LOWEST} to {HIGHEST}, got {np.min(value):g} to {np.max(value):g}")

    def check_stimulus(self, stimulus: Any, what: str) -> None:
        raise UnsupportedError(f"{what}: TrueNorth neurons take no {type(stimulus).__name__}; set their leak, or project spikes onto them")

    def membrane(self) -> Callable:
        if self.stochastic:
            raise UnsupportedError("TrueNorth: the engines have no stochastic leak or threshold, the chip's emulator has; "
                                   "build an image with spikesim.hardware.truenorth, or set stochastic_leak=False and mask=0")  # fmt: skip
        return truenorth_step

    def coefficients(self, h):
        sign = -1.0 if self.rules.leak_sign == "minus" else 1.0
        return {
            "leak": sign * np.asarray(self.leak), "reversal": float(self.leak_reversal), "noise": 0.0, "alpha": self.v_threshold,
            "beta": self.v_floor, "v_reset": self.v_reset, "mode": float(RESETS[self.reset]), "saturates": float(not self.floor_resets),
        } | self.rules.coefficients()  # fmt: skip

    def receptor_coefficients(self, h):
        return {key: receptor.coefficients(h, 0.0, 1.0) for key, receptor in self.receptors.items()}

    def initial(self):
        return {"v": 0.0, "lost": 0.0}


def nearest_reset(value: int) -> int:
    """The number plus or minus 2**k - 1 that is nearest to ``value``."""
    size = min((2**k - 1 for k in range(20)), key=lambda each: abs(each - abs(value)))
    return size if value >= 0 else -size


def _check_whole(value: Any, what: str) -> None:
    if isinstance(value, Distribution):
        raise KindError(f"{what}: expected whole numbers, got {value!r}; draw and round them first, and give the array")
    array = np.asarray(value)
    bad = array[array != np.rint(array)]
    if bad.size:
        raise DescriptionError(f"{what}: expected whole numbers, got {bad.flat[0]:g}; the nearest is {np.rint(bad.flat[0]):g}")
