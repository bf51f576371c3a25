"""The profile of `spikesim bench --profile`: where the time of a step goes, beside what the machine can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from spikesim.program import MEMBRANE, Program
from spikesim.recording import Recording
from spikesim.roofline import machine_limits

WORK = {  # phase: (what it is counted in, its limit of `spikesim.roofline`, units of the limit that one takes)
    "stimuli": ("Poisson number", "draws_per_s", 0.5),  # half a word decides nearly always
    "deliver": ("synaptic event", "near_events_per_s", 1.0),
    "update": ("neuron and step", "neuron_updates_per_s", 1.0),
}


@dataclass(frozen=True)
class Timed:
    """A timed segment: model time of all samples in s, wall time in s, and what was recorded."""

    model: float
    wall: float
    recordings: list[Recording]
    phases: dict[str, float]  # s, of the engine; empty where there are several


def segment_events(program: Program, segment: Timed) -> int:
    """How many synapses the spikes of a segment pass."""
    return sum(_events(program, recording) for recording in segment.recordings)


def _events(program: Program, recording: Recording) -> int:
    """The same for one recording."""
    total = 0
    for cells in program.cells:
        counts = np.bincount(recording.spikes[cells.name].ids, minlength=cells.size)
        for held in (held for held in program.tables + program.rows if held.source == cells.index):
            total += int(counts @ held.out_degrees)
        for block in (block for block in program.dense if block.ends.source == cells.index):
            sources, targets = block.weights.shape
            total += int(counts[block.ends.source_start :: block.ends.source_step][:sources].sum()) * targets
    return total


def profiled(program: Program, threads: int, segments: Sequence[Timed]) -> list[dict[str, Any]]:
    """For each phase: seconds per model second, us per step, ns per item of its work and core, and what the machine could do.

    "other" is what happens outside the engine's time loop, such as gathering spikes.
    """
    limits = machine_limits(threads)
    model, wall = (sum(getattr(segment, name) for segment in segments) for name in ("model", "wall"))
    steps = 1e3 * model / program.dt
    items = {"stimuli": steps * sum(len(drive.ids) for drive in program.drives),
             "deliver": sum(segment_events(program, segment) for segment in segments),
             "update": steps * sum(cells.size for cells in program.cells if cells.kind == MEMBRANE)}  # fmt: skip
    spent = {phase: sum(segment.phases[phase] for segment in segments) for phase in segments[0].phases}
    spent["other"] = wall - sum(spent.values())
    rows = []
    for phase, seconds in spent.items():
        row: dict[str, Any] = {"phase": phase, "wall_per_model_time": seconds / model, "us_per_step": 1e6 * seconds / steps}
        if items.get(phase):
            unit, limit, cost = WORK[phase]
            row |= {"unit": unit, "ns_per_unit_and_core": 1e9 * seconds * threads / items[phase], "limit": limit,
                    "limit_ns": 1e9 * cost * threads / limits[limit]}  # fmt: skip
        rows.append(row)
    return [*rows, {"phase": "limits", **limits}]


def profile_table(rows: list[dict[str, Any]]) -> Table:
    """The profile for a terminal."""
    *phases, limits = rows
    table = Table(title="where the time goes", caption=", ".join(f"{name} {limits[name]:.3g}" for name in limits if name != "phase"))
    for column in ("phase", "wall / model time", "us per step", "ns per unit and core", "limit (ns)", "unit"):
        table.add_column(column, justify="left" if column in ("phase", "unit") else "right")
    for row in phases:
        numbers = (row.get(name) for name in ("wall_per_model_time", "us_per_step", "ns_per_unit_and_core", "limit_ns"))
        table.add_row(row["phase"], *("" if number is None else f"{number:.3g}" for number in numbers), row.get("unit", ""))
    return table
