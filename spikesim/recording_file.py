"""Recordings in HDF5, spikes laid out as in SONATA (Dai et al. 2020), written at once or while a simulation runs.

/spikes/POPULATION/timestamps, node_ids     float64 ms and uint64, by time (SONATA), and recorded: the neurons watched;
                                            sizes: int32, of a population whose spikes are graded
/report/POPULATION/VARIABLE/data            float64 (times, neurons), with mapping/time and mapping/node_ids
/rates/POPULATION/times, values, bin        Hz
/counts/POPULATION/node_ids, values
/weights/PROJECTION/times, values           float64 ms and (times, synapses), with sources and targets: the neurons at their ends
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikesim.errors import FileFormatError
from spikesim.hdf5 import DAMAGED, Reading, child, contents, escaped, names, new_file, opened, replaced, unescaped, unexpected
from spikesim.network import SPIKES
from spikesim.recording import Counts, Rate, Recorded, Recording, Spikes, Trace, Weights

if TYPE_CHECKING:
    from spikesim.recorder import Recorder

KIND = "recording"
MAGIC, SONATA_VERSION = 0x0A7A, (0, 1)
SORTING = {"none": 0, "by_id": 1, "by_time": 2}
KINDS = ("spikes", "report", "rates", "counts", "weights")
CHUNK = 1 << 15  # values


class RecordingFile:
    """A recording that is being written; what was appended is on disk after every call."""

    def __init__(self, path: str | Path, *, start: float, dt: float) -> None:
        self.file = new_file(path, KIND)
        self.file.attrs.update(
            {"magic": np.uint32(MAGIC), "version": np.array(SONATA_VERSION, np.uint32), "start": start, "dt": dt, "stop": start}
        )

    def declare(self, recorder: Recorder) -> None:
        """Prepare for what ``recorder`` will append."""
        for name, ids in recorder.spike_ids.items():
            self.declare_spikes(name, ids, graded=name in recorder.graded)
        for probe in recorder.trace_probes:
            self.declare_trace(probe.view.population, probe.variable, np.asarray(probe.view.ids, np.int64))

    def declare_spikes(self, name: str, ids: np.ndarray, *, graded: bool) -> None:
        """Prepare for the spikes of a population of which the neurons ``ids`` are watched."""
        import h5py

        group = self.file.create_group(f"spikes/{name}")
        group.attrs.create("sorting", SORTING["by_time"], dtype=h5py.enum_dtype(SORTING, basetype="u1"))
        self._growing(group, "timestamps", np.float64).attrs["units"] = "ms"
        self._growing(group, "node_ids", np.uint64)
        if graded:
            self._growing(group, "sizes", np.int32)
        group["recorded"] = ids

    def declare_trace(self, name: str, variable: str, ids: np.ndarray) -> None:
        """Prepare for samples of a variable of the neurons ``ids``."""
        group = self.file.create_group(f"report/{name}/{variable}")
        self._growing(group, "data", np.float64, len(ids))
        self._growing(group, "mapping/time", np.float64)
        group["mapping/node_ids"] = ids.astype(np.uint64)

    @staticmethod
    def _growing(group: Any, name: str, dtype: type, width: int | None = None) -> Any:
        shape, chunk = ((0,), (CHUNK,)) if width is None else ((0, width), (max(1, CHUNK // width), width))
        return group.create_dataset(
            name, shape, dtype, chunks=chunk, maxshape=(None, *shape[1:]), compression="gzip", compression_opts=1, shuffle=True
        )

    def append(self, key: tuple[str, str], arrays: Mapping[str, np.ndarray]) -> None:
        """Take a piece as `spikesim.recorder.Recorder` gives it to its sink."""
        variable, name = key
        if variable == SPIKES:
            columns = {"timestamps": "times", "node_ids": "ids", "sizes": "sizes"}
            places = {f"spikes/{name}/{column}": arrays[key] for column, key in columns.items() if key in arrays}
        else:
            places = {f"report/{name}/{variable}/data": arrays["values"], f"report/{name}/{variable}/mapping/time": arrays["times"]}
        for place, values in places.items():
            dataset = self.file[place]
            dataset.resize(len(dataset) + len(values), axis=0)
            dataset[len(dataset) - len(values) :] = values
        self.file.flush()

    def close(self, recording: Recording) -> None:
        """Write the end of the recording, and the rates and counts, which are known only now, and close the file."""
        self.file.attrs["stop"] = recording.stop
        for name, rate in recording.rates.items():
            self.file[f"rates/{name}/times"], self.file[f"rates/{name}/values"] = rate.times, rate.values
            self.file[f"rates/{name}"].attrs["bin"] = rate.bin
        for name, counts in recording.counts.items():
            self.file[f"counts/{name}/node_ids"], self.file[f"counts/{name}/values"] = counts.ids, counts.values
        for name, weights in recording.weights.items():
            for column, array in vars(weights).items():
                self.file[f"weights/{escaped(name)}/{column}"] = array
        self.file.close()


def write(recording: Recording, path: str | Path) -> None:
    """Write a whole recording, all or nothing; it may come from the file that is written."""
    with replaced(path) as temporary:
        file = RecordingFile(temporary, start=recording.start, dt=recording.dt)
        for name, spikes in recording.spikes.items():
            graded = bool((spikes.sizes != 1).any())
            file.declare_spikes(name, spikes.recorded, graded=graded)
            file.append((SPIKES, name), {"times": spikes.times, "ids": spikes.ids} | ({"sizes": spikes.sizes} if graded else {}))
        for (name, variable), trace in recording.traces.items():
            file.declare_trace(name, variable, trace.ids)
            file.append((variable, name), {"times": trace.times, "values": trace.values})
        file.close(recording)


def read(path: str | Path) -> Recording:
    """The recording in a file; its arrays are read when asked for. Raises `FileFormatError` if it is not one."""
    path = Path(path).absolute()
    with opened(path) as reading:
        reading.check_kind(KIND)
        start, stop, dt = (reading.number(name) for name in ("start", "stop", "dt"))
        groups = {
            kind: child(reading, reading.file, kind) for kind in ("spikes", "report", "rates", "counts", "weights") if kind in reading.file
        }
        keys: dict[str, list[Any]] = {kind: names(group) for kind, group in groups.items()}
        traces = [(name, variable) for name in keys.get("report", []) for variable in names(child(reading, groups["report"], name))]
    if not (np.isfinite([start, stop, dt]).all() and 0.0 < dt and start <= stop):
        raise FileFormatError(f"{path}: expected start <= stop and dt > 0, found {start}, {stop}, {dt}; {DAMAGED}")
    return Recording(start, stop, dt, Recorded("spikes", _readers(path, _spikes, keys.get("spikes", []))),
                     Recorded("traces", _readers(path, _trace, traces)), Recorded("rates", _readers(path, _rate, keys.get("rates", []))),
                     Recorded("counts", _readers(path, _counts, keys.get("counts", []))),
                     Recorded("weights", _readers(path, _weights, [unescaped(name) for name in keys.get("weights", [])])))  # fmt: skip


def _readers(path: Path, read_one: Callable[[Reading, Any], Any], keys: list[Any]) -> dict[Any, Callable[[], Any]]:
    def reader(key: Any) -> Callable[[], Any]:
        def fetch() -> Any:
            with opened(path) as reading:
                return read_one(reading, key)

        return fetch

    return {key: reader(key) for key in keys}


def _spikes(reading: Reading, name: str) -> Spikes:
    group = child(reading, child(reading, reading.file, "spikes"), name)
    times, ids = _vector(reading, group, "timestamps", "f"), _vector(reading, group, "node_ids", "iu").astype(np.int64)
    watched = _vector(reading, group, "recorded", "iu").astype(np.int64)
    if "sizes" not in group:
        return Spikes(_same_length(group, times, ids), ids, watched)
    sizes = _vector(reading, group, "sizes", "i").astype(np.int32)
    return Spikes(_same_length(group, times, ids), ids, watched, _same_length(group, sizes, times))


def _trace(reading: Reading, key: tuple[str, str]) -> Trace:
    name, variable = key
    group = child(reading, child(reading, child(reading, reading.file, "report"), name), variable)
    values, mapping = contents(reading, child(reading, group, "data"), "f"), child(reading, group, "mapping")
    times, ids = _vector(reading, mapping, "time", "f"), _vector(reading, mapping, "node_ids", "iu").astype(np.int64)
    if values.shape != (len(times), len(ids)):
        raise unexpected(f"samples of shape {(len(times), len(ids))}", f"shape {values.shape}", DAMAGED, group.name)
    return Trace(times, ids, values)


def _rate(reading: Reading, name: str) -> Rate:
    group = child(reading, child(reading, reading.file, "rates"), name)
    times, values = _vector(reading, group, "times", "f"), _vector(reading, group, "values", "f")
    return Rate(_same_length(group, times, values), values, reading.number("bin", group))


def _counts(reading: Reading, name: str) -> Counts:
    group = child(reading, child(reading, reading.file, "counts"), name)
    ids, values = (_vector(reading, group, key, "iu").astype(np.int64) for key in ("node_ids", "values"))
    return Counts(_same_length(group, ids, values), values)


def _weights(reading: Reading, name: str) -> Weights:
    group = child(reading, child(reading, reading.file, "weights"), escaped(name))
    times, values = _vector(reading, group, "times", "f"), contents(reading, child(reading, group, "values"), "f")
    sources, targets = (_vector(reading, group, key, "iu").astype(np.int64) for key in ("sources", "targets"))
    if values.shape != (len(times), len(_same_length(group, sources, targets))):
        raise unexpected(f"weights of shape {(len(times), len(sources))}", f"shape {values.shape}", DAMAGED, group.name)
    return Weights(times, sources, targets, values)


def _vector(reading: Reading, group: Any, name: str, kinds: str) -> np.ndarray:
    values = contents(reading, child(reading, group, name), kinds)
    if values.ndim != 1:
        raise unexpected("one dimension", f"shape {values.shape}", DAMAGED, f"{group.name}/{name}")
    return values


def _same_length(group: Any, values: np.ndarray, others: np.ndarray) -> np.ndarray:
    if len(values) != len(others):
        raise unexpected("two vectors of one length", f"{len(values)} and {len(others)} values", DAMAGED, group.name)
    return values
