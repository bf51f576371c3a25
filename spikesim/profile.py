"""The profile of `spikesim bench --profile`: where the time of a step goes, beside what the machine can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    """A timed segment: model time of all samples in s, wall time in s, what was recorded, and how many synapses the spikes passed."""

    model: float
    wall: float
    recordings: list[Recording]
    events: int
    phases: dict[str, float]  # s, of the engine; empty where there are several


def profiled(program: Program, threads: int, segments: Sequence[Timed]) -> list[dict[str, Any]]:
    """For each phase: seconds per model second, us per step, ns per item of its work and core, and what the machine could do.

    "other" is what happens outside the engine's time loop, such as gathering spikes.
    """
    limits = machine_limits(threads)
    model, wall = (sum(getattr(segment, name) for segment in segments) for name in ("model", "wall"))
    steps = 1e3 * model / program.dt
    items = {"stimuli": steps * sum(len(drive.ids) for drive in program.drives),
             "deliver": sum(segment.events for segment in segments),
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
