"""What `spikesim bench` does: measure a published network on this machine."""

import hashlib
import json
import math
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikesim.description import checked_number, limits
from spikesim.errors import DescriptionError, unknown_name
from spikesim.info import versions
from spikesim.models.networks.brunel import brunel
from spikesim.models.networks.feedforward import SAMPLE, STEP, feedforward
from spikesim.models.networks.microcircuit import microcircuit
from spikesim.models.networks.vogels_abbott import coba, cuba
from spikesim.network import Network
from spikesim.program import Program
from spikesim.recording import Recording
from spikesim.simulation import Simulation

SCALE = limits(None, above=0.0, varies=False)
TIME = limits("ms", above=0.0, varies=False)


@dataclass(frozen=True)
class Benchmark:
    """A network to be measured, and how: times are in ms."""

    build: Callable[[float], Network]  # by the scale of the number of neurons
    least: float  # scale at which every population still has some neurons
    most: float = math.inf
    dt: float = 0.1
    warm_up: float = 200.0
    duration: float = 1000.0  # of a timed segment


def balanced(build: Callable[..., Network], scale: float) -> Network:
    """A network of Vogels & Abbott that grows as in published comparisons: 2 % connectivity up to 1,000 synapses a neuron.

    A smaller one keeps its 80 synapses a neuron, for fewer and stronger ones would change its activity.
    """
    neurons = round(4000 * scale)
    return build(neurons=neurons, synapses=min(max(80.0, 0.02 * neurons), 1000.0))


BENCHMARKS = {
    "cuba": Benchmark(lambda scale: balanced(cuba, scale), least=0.025),
    "coba": Benchmark(lambda scale: balanced(coba, scale), least=0.025),
    "brunel": Benchmark(lambda scale: brunel(neurons=round(12_500 * scale)), least=0.04),
    "microcircuit": Benchmark(lambda scale: microcircuit(scale=scale), least=0.01),
    "feedforward": Benchmark(lambda scale: feedforward(), least=1.0, most=1.0, dt=STEP, warm_up=SAMPLE, duration=100 * SAMPLE),
}


def bench_network(name: str, *, scale: float, threads: int | None, duration: float | None, repeats: int, precision: str,
                  json_path: Path | None) -> dict[str, Any]:  # fmt: skip
    """Build a network of the table, warm it up, time ``repeats`` segments of it, print and return the figures.

    duration: of a segment in ms, by default the benchmark's own.
    """
    benchmark = _chosen(name)
    scale = _checked_scale(scale, benchmark)
    length: float = checked_number(benchmark.duration if duration is None else duration, "bench: time", TIME)
    if repeats < 1:
        raise DescriptionError(f"bench: expected at least 1 repeat, got {repeats}")
    started = time.perf_counter()
    simulation = Simulation(benchmark.build(scale), dt=benchmark.dt, seed=1, threads=threads, precision=precision)
    built = time.perf_counter() - started
    started = time.perf_counter()
    simulation.run(benchmark.warm_up, progress=False)
    first = time.perf_counter() - started
    segments = [_timed(simulation, length) for _ in range(repeats)]
    figures = {"benchmark": name, "scale": scale, "threads": simulation.threads, "precision": precision, "build_time_s": built,
               "first_run_s": first, **_figures(simulation.program, segments, length), "versions": versions()}  # fmt: skip
    print_figures(figures)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def _chosen(name: str) -> Benchmark:
    if name not in BENCHMARKS:
        raise unknown_name("benchmark", name, BENCHMARKS, where="bench")
    return BENCHMARKS[name]


def _checked_scale(scale: float, benchmark: Benchmark) -> float:
    scale = checked_number(scale, "bench: scale", SCALE)
    if scale < benchmark.least:
        raise DescriptionError(f"bench: scale {scale:g} leaves too few neurons, expected at least {benchmark.least:g}")
    if scale > benchmark.most:
        raise DescriptionError(f"bench: scale {scale:g} is too large for this network, expected at most {benchmark.most:g}")
    return scale


def _timed(simulation: Simulation, duration: float) -> tuple[float, Recording]:
    started = time.perf_counter()
    recording = simulation.run(duration)
    return time.perf_counter() - started, recording


def _figures(program: Program, segments: list[tuple[float, Recording]], duration: float) -> dict[str, Any]:
    ratios = [1e3 * wall / duration for wall, _ in segments]
    spikes = sum(len(spikes) for _, recording in segments for spikes in recording.spikes.values())
    events = sum(_events(program, recording) for _, recording in segments)
    return {
        "neurons": program.neurons, "synapses": program.synapses, "wall_per_model_time": statistics.median(ratios),
        "wall_per_model_time_min": min(ratios), "wall_per_model_time_max": max(ratios),
        "synaptic_events_per_s": events / sum(wall for wall, _ in segments), "spikes": spikes,
        "rate_hz": 1e3 * spikes / (program.neurons * duration * len(segments)),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "spike_hash": _spike_hash(segments),
    }  # fmt: skip


def _events(program: Program, recording: Recording) -> int:
    """How many synapses the recorded spikes pass."""
    total = 0
    for cells in program.cells:
        counts = np.bincount(recording.spikes[cells.name].ids, minlength=cells.size)
        for table in (table for table in program.tables if table.source == cells.index):
            total += int(counts @ np.diff(table.segments[:: len(table.delays)]))
        for block in (block for block in program.dense if block.ends.source == cells.index):
            sources, targets = block.weights.shape
            total += int(counts[block.ends.source_start :: block.ends.source_step][:sources].sum()) * targets
    return total


def _spike_hash(segments: list[tuple[float, Recording]]) -> str:
    """A hash of all recorded spikes, to compare runs."""
    digest = hashlib.sha256()
    for _, recording in segments:
        for name, spikes in recording.spikes.items():
            steps = np.rint(spikes.times / recording.dt).astype(np.int64)
            digest.update(name.encode() + steps.tobytes() + spikes.ids.astype(np.int64).tobytes())
    return digest.hexdigest()[:16]


def print_figures(figures: Mapping[str, Any]) -> None:
    """The figures as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{figures['benchmark']}, scale {figures['scale']:g}", show_header=False)
    for key, value in figures.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value
        table.add_row(key, f"{shown:,.4g}" if isinstance(shown, float) else f"{shown:,}" if isinstance(shown, int) else str(shown))
    Console().print(table)
