"""The recording: spikes, traces, rates and counts of one run, the one way out of every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from spikesim.description import checked_number, limits
from spikesim.errors import DescriptionError, unknown_name

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

Value = TypeVar("Value")
BIN = limits("ms", above=0.0, varies=False)


@dataclass(frozen=True)
class Spikes:
    """Spikes of one population in time order: times (float64, ms), ids (int64) among the ``recorded`` neurons, sizes (int32).

    Sizes are those of graded spikes; without them all are 1.
    """

    times: np.ndarray
    ids: np.ndarray
    recorded: np.ndarray  # int64, the neurons whose spikes were recorded
    sizes: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.sizes is None:
            object.__setattr__(self, "sizes", np.broadcast_to(np.int32(1), np.shape(self.times)))  # takes no memory

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Trace:
    """A sampled variable: times (float64, ms), ids (int64), values (float64, (times, ids))."""

    times: np.ndarray
    ids: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Rate:
    """A population rate: times (ms, end of each bin), values (Hz), bin (ms)."""

    times: np.ndarray
    values: np.ndarray
    bin: float


@dataclass(frozen=True)
class Counts:
    """Spikes of each recorded neuron: ids (int64), values (int64)."""

    ids: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Weights:
    """Weights of a projection that learns: times (float64, ms), sources and targets (int64), values (float64, (times, synapses)).

    Synapses are ordered by source and target, numbers in their populations.
    """

    times: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    values: np.ndarray


class Recorded(Mapping[Any, Value], Generic[Value]):
    """What was recorded of one kind, read on demand; a missing name is an error that says what there is."""

    def __init__(self, kind: str, readers: Mapping[Any, Callable[[], Value]]) -> None:
        self.kind = kind
        self.readers = dict(readers)

    def __getitem__(self, key: Any) -> Value:
        if key not in self.readers:
            shown = [key if isinstance(key, str) else ".".join(key) for key in self.readers]
            name = key if isinstance(key, str) else ".".join(map(str, key))
            hint = "is it a projection that learns?" if self.kind == "weights" else "is there a net.record(...) for it?"
            raise unknown_name(f"recording of {self.kind}", name, shown, where=f"recording ({hint})")
        return self.readers[key]()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.readers)

    def __len__(self) -> int:
        return len(self.readers)


def recorded(kind: str, values: Mapping[Any, Value]) -> Recorded[Value]:
    """Values in memory as `Recorded`."""
    return Recorded(kind, {key: lambda value=value: value for key, value in values.items()})


@dataclass(frozen=True)
class Recording:
    """What was recorded from ``start`` to ``stop`` (ms) in steps of ``dt``.

    spikes, counts, rates: by population name; traces: by (population, variable); weights: by the name of a projection that learns.
    """

    start: float
    stop: float
    dt: float
    spikes: Recorded[Spikes] = field(default_factory=lambda: recorded("spikes", {}))
    traces: Recorded[Trace] = field(default_factory=lambda: recorded("traces", {}))
    rates: Recorded[Rate] = field(default_factory=lambda: recorded("rates", {}))
    counts: Recorded[Counts] = field(default_factory=lambda: recorded("counts", {}))
    weights: Recorded[Weights] = field(default_factory=lambda: recorded("weights", {}))

    @property
    def duration(self) -> float:
        """Model time covered, in ms."""
        return self.stop - self.start

    def trace(self, population: str, variable: str) -> Trace:
        """The samples of one variable."""
        return self.traces[population, variable]

    def rate(self, population: str) -> float:
        """The mean firing rate (Hz) of the recorded neurons of a population."""
        if population in self.spikes:
            number, neurons = len(self.spikes[population]), len(self.spikes[population].recorded)
        elif population in self.counts:
            number, neurons = int(self.counts[population].values.sum()), len(self.counts[population].ids)
        elif population in self.rates:
            return float(self.rates[population].values.mean()) if len(self.rates[population].values) else 0.0
        else:
            raise unknown_name("population", population, {*self.spikes, *self.counts, *self.rates}, where="recording.rate")
        return 1e3 * number / (neurons * self.duration) if self.duration else 0.0

    def intervals(self, population: str) -> list[np.ndarray]:
        """The interspike intervals (ms) of each neuron that fired at least twice."""
        spikes = self.spikes[population]
        order = np.lexsort((spikes.times, spikes.ids))
        times, ids = spikes.times[order], spikes.ids[order]
        return [np.diff(train) for train in np.split(times, np.flatnonzero(np.diff(ids)) + 1) if len(train) > 1]

    def cv_isi(self, population: str) -> float:
        """The coefficient of variation of interspike intervals, the mean over neurons with two or more; nan if none."""
        found = [i.std() / i.mean() for i in self.intervals(population) if len(i) > 1]
        return float(np.mean(found)) if found else float("nan")

    def correlation(self, population: str, *, bin: float = 2.0, neurons: int = 200) -> float:
        """The mean of `correlations`; nan if there is none."""
        found = self.correlations(population, bin=bin, neurons=neurons)
        return float(found.mean()) if len(found) else float("nan")

    def correlations(self, population: str, *, bin: float = 2.0, neurons: int = 200) -> np.ndarray:
        """Pearson's correlation coefficients of the spike counts of pairs of neurons in bins of ``bin`` ms; float64 (pairs,).

        neurons: so many, spread evenly over those that fired, give all pairs. An unfinished last bin is left out; so is a
        neuron with the same count in all bins, for which there is no coefficient.
        """
        bin = checked_number(bin, "recording.correlations: bin", BIN)
        if isinstance(neurons, bool) or not isinstance(neurons, int | np.integer) or neurons < 2:
            raise DescriptionError(f"recording.correlations: neurons must be a whole number from 2 on, got {neurons!r}")
        spikes = self.spikes[population]
        fired = np.unique(spikes.ids)
        chosen = fired[np.linspace(0, len(fired) - 1, min(neurons, len(fired))).astype(np.int64)]
        bins, which = int(self.duration / bin + 1e-9), self._bins(spikes.times, bin)
        used = np.isin(spikes.ids, chosen) & (which < bins)
        flat = np.searchsorted(chosen, spikes.ids[used]) * bins + which[used]
        counts = np.bincount(flat, minlength=len(chosen) * bins).reshape(len(chosen), bins)
        varied = counts[(counts != counts[:, :1]).any(axis=1)]
        return np.corrcoef(varied)[np.triu_indices(len(varied), 1)] if len(varied) > 1 else np.empty(0)

    def psth(self, population: str, *, bin: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """(left edges in ms, rates in Hz): the population's mean rate in bins of ``bin`` ms."""
        bin = checked_number(bin, "recording.psth: bin", BIN)
        spikes = self.spikes[population]
        number = np.bincount(self._bins(spikes.times, bin), minlength=max(1, int(np.ceil(self.duration / bin - 1e-9))))
        return self.start + bin * np.arange(len(number)), 1e3 * number / (len(spikes.recorded) * bin)

    def _bins(self, times: np.ndarray, bin: float) -> np.ndarray:
        """The bin of each spike: a spike stamped t was found in the step that ends at t, so it belongs where that step lies."""
        return np.floor((times - self.start - 0.5 * self.dt) / bin).astype(np.int64)

    def to_pandas(self) -> pandas.DataFrame:
        """All spikes as a table with the columns population, time (ms) and id, in time order."""
        import pandas

        frames = [pandas.DataFrame({"population": name, "time": spikes.times, "id": spikes.ids}) for name, spikes in self.spikes.items()]
        table = pandas.concat(frames) if frames else pandas.DataFrame({"population": [], "time": [], "id": []})
        return table.sort_values("time", kind="stable").reset_index(drop=True)

    def raster(self, **options: Any) -> Figure:
        """A raster plot of all recorded spikes, with population rates below (see `spikesim.plot.raster`)."""
        from spikesim.plot import raster

        return raster(self, **options)

    def save(self, path: str | Path) -> None:
        """Write to an HDF5 file; spikes lie as SONATA lays them out."""
        from spikesim.recording_file import write

        write(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read what `save` or a streamed run has written; arrays are read when asked for."""
        from spikesim.recording_file import read

        return read(path)
