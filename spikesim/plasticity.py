"""Plasticity: rules by which the weights of a projection change with the spikes at both ends."""

from typing import Any

from spikesim.connectivity.rules import Rule
from spikesim.connectivity.structured import Dense, Structured
from spikesim.description import Description, real, whole
from spikesim.errors import DescriptionError

FRACTION = 256  # an impulse has 8 bits after the point
MANTISSAS, EXPONENTS = range(-8, 8), range(-7, 9)  # of an amplitude: 4 bits each
LONGEST_EPOCH = 63  # 6 bits
BOUNDS = {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)}  # of a weight: 8 bits and a sign
ROUNDINGS = ("shared", "own")


class Plasticity(Description):
    """Base of all rules of plasticity."""

    def check_connection(self, rule: Rule, weight: Any, what: str) -> None:
        """Raise `DescriptionError` if the synapses of ``rule`` cannot learn, for instance because they share their weights."""


class LoihiSTDP(Plasticity):
    """Spike-timing dependent plasticity of pairs in the integers of Loihi's learning engine, as Lava computes it.

        at a spike of the source     x1 += x_impulse,   w += a_minus y1
        at a spike of the target     y1 += y_impulse,   w += a_plus x1
        in each step                 x1 *= exp(-1 / tau_plus),   y1 *= exp(-1 / tau_minus)

    Traces x1 and y1 are whole numbers from 0 to 127, weights whole numbers too; each result is rounded up at random with the
    probability of its fraction. The rule is applied at the end of each epoch, with both traces as they were at the neuron's last
    spike in it, that step's impulses included; first a_minus y1 is added, then a_plus x1, to w as a number of 15 bits and a sign,
    7 of them after the point, that stops at its ends. A neuron's earlier spikes of an epoch count in its trace only, from the
    epoch's start on. Spikes that are under way keep the weight they were sent with.

    | parameter            | unit, range       | meaning |
    |----------------------|-------------------|---------|
    | a_plus, a_minus      | weight            | change for a trace of 1: m 2**e, m -8 to 7, e -7 to 8; depression is negative |
    | tau_plus, tau_minus  | ms (steps)        | of x1 and y1; infinite for no decay, 0 for traces of one step |
    | x_impulse, y_impulse | 0 to 127 255/256  | what a spike adds to its trace, a multiple of 1/256 |
    | epoch                | 1 to 63 steps     | between two updates of the weights |
    | sign                 |                   | "excitatory" (w 0 to 255), "inhibitory" (-255 to 0), "mixed" (-256 to 255, even at first) |
    | rounding             |                   | "shared": one random number for all, as in Lava; "own": one for each trace and weight |

    Source: Davies et al. (2018) for the traces and the form of the rule, Gerstner et al. (1996) for the window; arithmetic of
    STDPLoihi in lava-nc 0.10.0 (Intel, 2024), which draws 7 bits to round impulses of 8, so that with "shared" a fraction f goes up
    with the probability min(1, 2 f), and always where a source fires twice in an epoch.
    """

    a_plus: float = real()
    a_minus: float = real()
    tau_plus: float = real(unit="ms", at_least=0.0, infinite=True)
    tau_minus: float = real(unit="ms", at_least=0.0, infinite=True)
    x_impulse: float = real(default=16.0, at_least=0.0, at_most=128.0 - 1.0 / FRACTION)
    y_impulse: float = real(default=16.0, at_least=0.0, at_most=128.0 - 1.0 / FRACTION)
    epoch: int = whole(default=1, at_least=1)
    sign: str = "excitatory"
    rounding: str = "shared"

    def check(self) -> None:
        for name in ("a_plus", "a_minus"):
            _scaling(getattr(self, name), f"LoihiSTDP.{name}")
        for name in ("x_impulse", "y_impulse"):
            value = getattr(self, name)
            if value * FRACTION != int(value * FRACTION):
                raise DescriptionError(f"LoihiSTDP.{name}: expected a multiple of 1/{FRACTION}, got {value!r}; "
                                       f"try {round(value * FRACTION) / FRACTION!r}")  # fmt: skip
        if self.epoch > LONGEST_EPOCH:
            raise DescriptionError(f"LoihiSTDP.epoch: expected 1 to {LONGEST_EPOCH} steps, got {self.epoch}")
        for name, known in (("sign", tuple(BOUNDS)), ("rounding", ROUNDINGS)):
            if getattr(self, name) not in known:
                raise DescriptionError(f"LoihiSTDP.{name}: expected {' or '.join(map(repr, known))}, got {getattr(self, name)!r}")

    @property
    def scalings(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Mantissa and exponent of a_minus and of a_plus."""
        return _scaling(self.a_minus, "LoihiSTDP.a_minus"), _scaling(self.a_plus, "LoihiSTDP.a_plus")

    def check_connection(self, rule: Rule, weight: Any, what: str) -> None:
        if isinstance(rule, Structured) and not isinstance(rule, Dense):
            raise DescriptionError(f"{what}: the synapses of {type(rule).__name__} share their weights and cannot learn one by one; give "
                                   "them as Dense or as a PairList")  # fmt: skip


def _scaling(value: float, what: str) -> tuple[int, int]:
    """The mantissa and exponent of an amplitude; raises `DescriptionError` naming the next ones for a number that has none."""
    for exponent in EXPONENTS:
        mantissa = value / 2.0**exponent
        if mantissa in MANTISSAS:
            return int(mantissa), exponent
    known = sorted({m * 2.0**e for m in MANTISSAS for e in EXPONENTS}, key=lambda each: abs(each - value))
    raise DescriptionError(f"{what}: expected m 2**e with m from -8 to 7 and e from -7 to 8, got {value!r}; next to it lie "
                           f"{' and '.join(f'{each:g}' for each in known[:2])}")  # fmt: skip
