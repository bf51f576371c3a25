"""What comes from outside: populations that only send spikes, and stimuli given to neurons.

Sources are used like a neuron model, ``net.population("input", 100, sim.Poisson(rate=10.0))``; stimuli are
added to a population, ``net.stimulate(exc, sim.PoissonDrive(rate=800.0, weight=87.8, receptor="exc"))``.
"""

from typing import Any, ClassVar

import numpy as np

from spikesim.description import Description, frozen_array, real
from spikesim.errors import DescriptionError, KindError


class Source(Description):
    """Base of the models of populations that only send spikes. GRADED: their spikes have sizes, which multiply the weights."""

    GRADED: ClassVar[bool] = False

    def largest_spike(self) -> int:
        """A bound on the size of a spike, whatever its sign."""
        return 1


class Poisson(Source):
    """Independent Poisson processes: in every step a neuron fires with probability rate x dt.

    Parameters: rate (Hz), a number, an array or a distribution; rate x dt must not exceed 1.
    """

    rate: Any = real(unit="Hz", at_least=0.0, varies=True)


class SpikeTrains(Source):
    """Given spikes: neuron ``ids[k]`` fires at ``times[k]``.

    times: float64 (n,), ms, multiples of the time step, the earliest one step; ids: int64 (n,), in any order.
    A neuron fires at most once in a step. sizes: int32 (n,), not 0, of graded spikes, which multiply the weights; None where all are 1.
    """

    times: Any
    ids: Any
    sizes: Any = None

    def check(self) -> None:
        times = frozen_array(self.times, "SpikeTrains.times", unit="ms")
        ids = frozen_array(self.ids, "SpikeTrains.ids", dtype=np.int64)
        if times.ndim != 1 or times.shape != ids.shape:
            raise DescriptionError(f"SpikeTrains: expected one id for each time, got shapes {times.shape} and {ids.shape}")
        if not np.isfinite(times).all() or (times <= 0.0).any():
            raise DescriptionError("SpikeTrains.times: expected finite times after 0 ms, "
                                   f"got {times[~(np.isfinite(times) & (times > 0.0))][0]:g}")  # fmt: skip
        if (ids < 0).any():
            raise DescriptionError(f"SpikeTrains.ids: expected 0 or more, got {ids.min()}")
        order = np.lexsort((ids, times))
        object.__setattr__(self, "times", frozen_array(times[order], "SpikeTrains.times"))
        object.__setattr__(self, "ids", frozen_array(ids[order], "SpikeTrains.ids", dtype=np.int64))
        object.__setattr__(self, "GRADED", self.sizes is not None)
        if self.sizes is not None:
            object.__setattr__(self, "sizes", frozen_array(self._checked_sizes(times)[order], "SpikeTrains.sizes", dtype=np.int32))

    def largest_spike(self) -> int:
        """The largest size."""
        return int(np.abs(self.sizes.astype(np.int64)).max(initial=1)) if self.GRADED else 1

    def _checked_sizes(self, times: np.ndarray) -> np.ndarray:
        sizes = frozen_array(self.sizes, "SpikeTrains.sizes", dtype=np.int32)
        if sizes.shape != times.shape:
            raise DescriptionError(f"SpikeTrains: expected one size for each time, got shapes {sizes.shape} and {times.shape}")
        if (sizes == 0).any():
            raise DescriptionError(f"SpikeTrains.sizes: expected whole numbers other than 0, got 0 at index {int(np.argmax(sizes == 0))}; "
                                   "leave spikes of size 0 out")  # fmt: skip
        return sizes


class Stimulus(Description):
    """Base of the stimuli given to the neurons of a population."""


class PoissonDrive(Stimulus):
    """Each neuron receives its own Poisson process of spikes of the given weight.

    Parameters: rate (Hz), of the sum of all sources; weight (in the receptor's unit); receptor (name).
    The number of spikes in a step is Poisson distributed with mean rate x dt (tail beyond 2**-32 cut).
    """

    rate: Any = real(unit="Hz", at_least=0.0, varies=True)
    weight: float = real()
    receptor: str

    def check(self) -> None:
        if not isinstance(self.receptor, str):
            raise KindError(f"PoissonDrive.receptor: expected a name, got {self.receptor!r}")


class DirectCurrent(Stimulus):
    """A constant current from ``start`` to ``stop``, as NEST's dc_generator gives it.

    Parameters: amplitude (pA), a number, an array or a distribution; start, stop (ms), multiples of the time step, all the
    time by default.
    """

    amplitude: Any = real(unit="pA", varies=True)
    start: float = real(default=0.0, unit="ms", at_least=0.0)
    stop: float = real(default=np.inf, unit="ms", infinite=True)

    def check(self) -> None:
        if self.start >= self.stop:
            raise DescriptionError(f"DirectCurrent: start must lie before stop, got start={self.start:g}, stop={self.stop:g}")


class StepCurrent(Stimulus):
    """A current that takes ``amplitudes[k]`` (pA) from ``times[k]`` (ms) on, and 0 before the first.

    times: (n,), ascending, multiples of the time step; amplitudes: (n,), or (n, size) for one value a neuron.
    """

    times: Any
    amplitudes: Any

    def check(self) -> None:
        times = frozen_array(self.times, "StepCurrent.times", unit="ms")
        amplitudes = frozen_array(self.amplitudes, "StepCurrent.amplitudes", unit="pA")
        if times.ndim != 1 or amplitudes.ndim not in (1, 2) or len(times) != len(amplitudes) or len(times) == 0:
            raise DescriptionError(f"StepCurrent: expected one amplitude for each time, got shapes {times.shape} and {amplitudes.shape}")
        if not (np.isfinite(times).all() and np.isfinite(amplitudes).all()):
            raise DescriptionError("StepCurrent: times and amplitudes must be finite")
        if times[0] < 0.0 or (np.diff(times) <= 0.0).any():
            raise DescriptionError("StepCurrent.times: expected ascending times from 0 ms on")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "amplitudes", amplitudes)


class SampledCurrent(Stimulus):
    """A current given by samples (pA), each held for ``interval`` ms from 0 on, and 0 after the last.

    samples: (n,) for all neurons alike, or (n, size) for one column a neuron.
    """

    samples: Any
    interval: float = real(unit="ms", above=0.0)

    def check(self) -> None:
        samples = frozen_array(self.samples, "SampledCurrent.samples", unit="pA")
        if samples.ndim not in (1, 2) or len(samples) == 0 or not np.isfinite(samples).all():
            raise DescriptionError(f"SampledCurrent.samples: expected finite numbers of shape (n,) or (n, size), got shape {samples.shape}")
        object.__setattr__(self, "samples", samples)


class NoiseCurrent(Stimulus):
    """Gaussian white noise: each neuron draws a new value every ``interval`` ms.

    Parameters: sd (pA), interval (ms), mean (pA).
    """

    sd: float = real(unit="pA", at_least=0.0)
    interval: float = real(unit="ms", above=0.0)
    mean: float = real(default=0.0, unit="pA")
