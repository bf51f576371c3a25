"""What `spikesim bench` does: measure a published network on this machine."""

import hashlib
import json
import resource
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikesim.benchmarks import BENCHMARKS, Benchmark
from spikesim.description import checked_number, limits
from spikesim.errors import DescriptionError, unknown_name
from spikesim.info import versions
from spikesim.profile import Timed, profile_table, profiled
from spikesim.program import Program
from spikesim.recording import Recording
from spikesim.simulation import Simulation

SCALE = limits(None, above=0.0, varies=False)
TIME = limits("ms", above=0.0, varies=False)


def bench_network(name: str, *, scale: float, threads: int | None, duration: float | None, repeats: int, precision: str | None,
                  batch: int, procedural: bool, profile: bool, json_path: Path | None) -> dict[str, Any]:  # fmt: skip
    """Build a network of the table, warm it up, time ``repeats`` segments of it, print and return the figures.

    duration: of a segment in ms, by default the benchmark's own. batch: so many samples at once, of networks that work on
    samples. procedural: draw synapses again at each spike. profile: also compare each phase of a step with what the machine can do.
    """
    benchmark = _chosen(name)
    scale = _checked_scale(scale, benchmark)
    length: float = checked_number(benchmark.duration if duration is None else duration, "bench: time", TIME)
    _check_counts(name, benchmark, repeats=repeats, batch=batch, profile=profile)
    started = time.perf_counter()
    simulation = Simulation(benchmark.build(scale), dt=benchmark.dt, seed=1, threads=threads, precision=precision, procedural=procedural,
                            weight_bits=benchmark.weight_bits)  # fmt: skip
    built = time.perf_counter() - started
    started = time.perf_counter()
    simulation.run(benchmark.warm_up, progress=False)
    first = time.perf_counter() - started
    segments = _timed(simulation, benchmark, length, repeats, batch)
    figures = {"benchmark": name, "scale": scale, "threads": simulation.threads, "precision": simulation.precision, "batch": batch,
               "procedural": procedural, "weight_bits": benchmark.weight_bits, "build_time_s": built, "first_run_s": first,
               **_figures(simulation.program, segments), "versions": versions()}  # fmt: skip
    if profile:
        figures["profile"] = profiled(simulation.program, simulation.threads, segments)
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


def _check_counts(name: str, benchmark: Benchmark, *, repeats: int, batch: int, profile: bool) -> None:
    if repeats < 1:
        raise DescriptionError(f"bench: expected at least 1 repeat, got {repeats}")
    if batch < 1:
        raise DescriptionError(f"bench: expected a batch of at least 1 sample, got {batch}")
    if batch > 1 and benchmark.sample is None:
        raise DescriptionError(f"bench: {name} does not work on samples, so it has no batches; leave out --batch")
    if batch > 1 and profile:
        raise DescriptionError("bench: a batch runs on several engines at once, which are not profiled; leave out --batch or --profile")


def _timed(simulation: Simulation, benchmark: Benchmark, duration: float, repeats: int, batch: int) -> list[Timed]:
    if batch == 1:
        return [_one_run(simulation, duration) for _ in range(repeats)]
    sample = benchmark.sample or duration
    rounds = max(1, round(duration / (batch * sample)))
    return [_batches(simulation, sample, range(repeat * rounds, (repeat + 1) * rounds), batch) for repeat in range(repeats)]


def _one_run(simulation: Simulation, duration: float) -> Timed:
    simulation.engine.time_phases()
    started = time.perf_counter()
    recording = simulation.run(duration)
    wall = time.perf_counter() - started
    return Timed(1e-3 * duration, wall, [recording], _events(simulation.program, recording), simulation.engine.phases())


def _batches(simulation: Simulation, sample: float, numbers: range, batch: int) -> Timed:
    """Batches of samples, each sample with the seed of its number among all."""
    started = time.perf_counter()
    recordings = [recording for number in numbers
                  for recording in simulation.trials(sample, seeds=range(number * batch, (number + 1) * batch))]  # fmt: skip
    wall = time.perf_counter() - started
    return Timed(1e-3 * sample * len(recordings), wall, recordings, sum(_events(simulation.program, each) for each in recordings), {})


def _figures(program: Program, segments: list[Timed]) -> dict[str, Any]:
    ratios = [segment.wall / segment.model for segment in segments]
    recordings = [recording for segment in segments for recording in segment.recordings]
    spikes = sum(len(spikes) for recording in recordings for spikes in recording.spikes.values())
    speeds = [segment.events / segment.wall for segment in segments]
    model = sum(segment.model for segment in segments)
    return {
        "neurons": program.neurons, "synapses": program.synapses, "wall_per_model_time": statistics.median(ratios),
        "wall_per_model_time_min": min(ratios), "wall_per_model_time_max": max(ratios), **_split(segments),
        "synaptic_events_per_s": statistics.median(speeds), "spikes": spikes, "rate_hz": spikes / (program.neurons * model),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "spike_hash": _spike_hash(recordings),
    }  # fmt: skip


def _split(segments: list[Timed]) -> dict[str, float]:
    """Wall time per model time that neurons, synapses and all else take, each the median over the segments."""
    if not segments[0].phases:
        return {}
    shares = {phase: [segment.phases[phase] / segment.model for segment in segments] for phase in ("update", "deliver")}
    shares["other"] = [(s.wall - s.phases["update"] - s.phases["deliver"]) / s.model for s in segments]
    return {f"wall_per_model_time_{phase}": statistics.median(values) for phase, values in shares.items()}


def _events(program: Program, recording: Recording) -> int:
    """How many synapses the recorded spikes pass."""
    total = 0
    for cells in program.cells:
        counts = np.bincount(recording.spikes[cells.name].ids, minlength=cells.size)
        for held in (held for held in program.tables + program.rows if held.source == cells.index):
            total += int(counts @ held.out_degrees)
        for block in (block for block in program.dense if block.ends.source == cells.index):
            sources, targets = block.weights.shape
            total += int(counts[block.ends.source_start :: block.ends.source_step][:sources].sum()) * targets
    return total


def _spike_hash(recordings: list[Recording]) -> str:
    """A hash of all recorded spikes, to compare runs."""
    digest = hashlib.sha256()
    for recording in recordings:
        for name, spikes in recording.spikes.items():
            steps = np.rint(spikes.times / recording.dt).astype(np.int64)
            digest.update(name.encode() + steps.tobytes() + spikes.ids.astype(np.int64).tobytes())
    return digest.hexdigest()[:16]


def print_figures(figures: Mapping[str, Any]) -> None:
    """The figures as a table, and the profile as another."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"{figures['benchmark']}, scale {figures['scale']:g}", show_header=False)
    for key, value in figures.items():
        if key != "profile":
            shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value
            table.add_row(key, f"{shown:,.4g}" if isinstance(shown, float) else f"{shown:,}" if isinstance(shown, int) else str(shown))
    console.print(table)
    if "profile" in figures:
        console.print(profile_table(figures["profile"]))
