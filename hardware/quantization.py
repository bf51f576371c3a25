"""What quantising a network came to: the report, and what has to be known to talk to the integer network."""

from dataclasses import dataclass

import numpy as np

from spikesim.errors import unknown_name
from spikesim.network import Network


@dataclass(frozen=True)
class PopulationError:
    """Relative errors of one population: decay_v, decay_u of what is lost in a step, bias of the drift (root mean square).

    vth: the threshold in units of 64; scale: least and largest integer potential per mV; headroom: u wraps when more than this share
    of all synapses of some neuron is active in each step (1 or more: never).
    """

    decay_v: float
    decay_u: float
    bias: float
    vth: int
    scale: tuple[float, float]
    headroom: float


@dataclass(frozen=True)
class ProjectionError:
    """Errors of the weights of one projection: relative root mean square and largest; how many became 0, and were clipped."""

    rms: float
    largest: float
    lost: int
    saturated: int
    synapses: int
    exponent: int
    bits: int


@dataclass(frozen=True)
class SpikeEffect:
    """Spikes of one population in the float and in the integer network; same: the share of spikes at the same step and neuron,
    correlation: of the neurons' counts (1 if both are constant)."""

    float_spikes: int
    integer_spikes: int
    same: float
    correlation: float


@dataclass(frozen=True)
class QuantizationReport:
    """Errors by population and projection, the published constructions used, and the measured effect on spikes.

    error: what the search for scales minimised, the sum over populations of the relative root mean square errors of weights and
    drift and of what cutting loses in a threshold.
    """

    dt: float
    error: float
    populations: dict[str, PopulationError]
    projections: dict[str, ProjectionError]
    constructions: tuple[str, ...]
    effect: dict[str, SpikeEffect]

    def __str__(self) -> str:
        lines = [f"quantised to steps of {self.dt:g} ms, error {self.error:.4f}"]
        for name, p in self.populations.items():
            lines.append(f"  {name}: vth {p.vth}, decays off by {p.decay_v:.2%} (v), {p.decay_u:.2%} (u), drift {p.bias:.2%}, "
                         f"u wraps {'never' if p.headroom >= 1 else f'beyond {p.headroom:.0%} of the synapses'}")  # fmt: skip
        for name, w in self.projections.items():
            lines.append(f"  {name}: {w.bits} bits, exponent {w.exponent}, weights off by {w.rms:.2%}, at most {w.largest:.2%} of the "
                         f"largest, {w.lost:,} of {w.synapses:,} became 0, {w.saturated:,} clipped")  # fmt: skip
        lines += [f"  {line}" for line in self.constructions]
        for name, e in self.effect.items():
            lines.append(f"  {name}: {e.float_spikes:,} spikes, as integers {e.integer_spikes:,}, {e.same:.1%} of them the same, "
                         f"correlation of counts {e.correlation:.3f}")  # fmt: skip
        return "\n".join(lines)


@dataclass(frozen=True)
class Quantized:
    """An integer network, one step a ms, and its report; scale: integer potential per mV, drive: integer bias per pA, by population."""

    network: Network
    report: QuantizationReport
    scale: dict[str, np.ndarray]
    drive: dict[str, np.ndarray]

    def currents(self, name: str, amplitude: np.ndarray) -> np.ndarray:
        """A constant current (pA, (..., size)) as whole numbers for ``image.run(currents=...)`` or `DirectCurrent` of the network."""
        if name not in self.drive:
            raise unknown_name("population", name, self.drive, where="Quantized.currents")
        return representable(np.asarray(amplitude, np.float64) * self.drive[name])

    def potential(self, name: str, v: np.ndarray) -> np.ndarray:
        """Integer potentials (..., size) in mV above rest."""
        return np.asarray(v) / self.scale[name]


def mantissa(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest bias mantissas (-4096 to 4095) and exponents (0 to 7) of real values, int64; beyond them the largest."""
    exponent = np.clip(np.ceil(np.log2(np.maximum(np.abs(values), 1.0) / 4095.0)), 0, 7).astype(np.int64)
    return np.clip(np.rint(values / 2.0**exponent), -4096, 4095).astype(np.int64), exponent


def representable(values: np.ndarray) -> np.ndarray:
    """The nearest values that a bias can have, float64."""
    mant, exponent = mantissa(values)
    return mant * 2.0**exponent
