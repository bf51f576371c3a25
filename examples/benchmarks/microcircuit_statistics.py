"""How the microcircuit of Potjans & Diesmann (2014), Cereb Cortex 24:785-806, fires: in float64, in float32, and in NEST.

    python examples/benchmarks/microcircuit_statistics.py [--scale 1.0] [--time 10000] [--threads 2] [--against-nest]

For each population: the rate, the coefficient of variation of interspike intervals, and the correlation coefficient of spike
counts in bins of 2 ms (all pairs of 200 neurons), beside the rates of Table 6 of the paper. At scale 1 each rate should lie within
10 % of it, for the paper's is one wiring and one run too. A scaled circuit keeps the rates only roughly, and is more correlated.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import spikesim as sim
from spikesim.benchmarks import BENCHMARKS
from spikesim.models.networks.microcircuit import POPULATIONS, microcircuit
from spikesim.recording import Spikes, recorded

PUBLISHED = (0.86, 2.80, 4.45, 5.93, 7.59, 8.64, 1.09, 7.88)  # Hz
TOLERANCE = 0.10
WARM_UP, DT = BENCHMARKS["microcircuit"].warm_up, BENCHMARKS["microcircuit"].dt  # ms

MEASURES = {"rate (Hz)": (sim.Recording.rate, ".2f"), "CV of intervals": (sim.Recording.cv_isi, ".2f"),
            "correlation": (sim.Recording.correlation, ".4f")}  # fmt: skip
Statistics = dict[str, list[float]]  # for each measure the values of the populations


def statistics(recording: sim.Recording) -> Statistics:
    return {name: [measure(recording, population) for population in POPULATIONS] for name, (measure, _) in MEASURES.items()}


def in_spikesim(scale: float, time: float, threads: int, precision: str) -> Statistics:
    simulation = sim.Simulation(microcircuit(scale=scale), dt=DT, seed=1, threads=threads, precision=precision)
    simulation.run(WARM_UP)
    return statistics(simulation.run(time))


def in_nest(scale: float, time: float, threads: int) -> Statistics:
    """In a process of its own, for NEST keeps its state as long as the process lives."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        times, ids = pool.submit(nest_spikes, scale, time, threads).result()
    starts = np.cumsum([0] + [len(population) for population in microcircuit(scale=scale).populations.values()])
    spikes = {}
    for name, first, end in zip(POPULATIONS, starts, starts[1:], strict=False):
        mine = (ids >= first) & (ids < end)
        spikes[name] = Spikes(times[mine], ids[mine] - first, np.arange(end - first))
    return statistics(sim.Recording(WARM_UP, WARM_UP + time, DT, spikes=recorded("spikes", spikes)))


def nest_spikes(scale: float, time: float, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Times (ms) and neurons, in time order, of the spikes after the warm-up."""
    sys.path.insert(0, str(Path(__file__).parent / "peers"))
    from nest_networks import build, fresh_nest

    nest: Any = fresh_nest(DT, threads)
    build(nest, microcircuit(scale=scale))
    cells = nest.GetNodes({"model": "iaf_psc_exp"})
    recorder = nest.Create("spike_recorder", params={"start": WARM_UP})
    nest.Connect(cells, recorder)
    nest.Simulate(WARM_UP + time)
    order = np.argsort(recorder.events["times"], kind="stable")
    return recorder.events["times"][order], recorder.events["senders"][order] - cells[0].global_id


def print_table(found: dict[str, Statistics], title: str) -> None:
    """A block of rows for each measure; rates far from the paper's are marked."""
    table = Table(title=title)
    for column in ("", "", "published", *found):
        table.add_column(column, justify="right" if column else "left")
    for measure, (_, form) in MEASURES.items():
        for at, population in enumerate(POPULATIONS):
            values = [statistics[measure][at] for statistics in found.values()]
            published, shown = "", [format(value, form) + " " for value in values]
            if measure == "rate (Hz)":
                published = format(PUBLISHED[at], form)
                shown = [f"{value:{form}}{' ' if abs(value / PUBLISHED[at] - 1.0) <= TOLERANCE else '*'}" for value in values]
            table.add_row("" if at else measure, population, published, *shown, end_section=at == len(POPULATIONS) - 1)
    Console().print(table)
    Console().print(f"* more than {TOLERANCE:.0%} from the published rate")


def main(
    scale: float = 1.0,
    time: Annotated[float, typer.Option(help="Model time in ms, after the warm-up.")] = 10_000.0,
    threads: int = 2,
    precision: Annotated[list[str], typer.Option(help="May be given more than once.")] = ["float64", "float32"],  # noqa: B006
    against_nest: Annotated[bool, typer.Option("--against-nest", help="Run the circuit in NEST too.")] = False,
) -> None:
    found = {name: in_spikesim(scale, time, threads, name) for name in precision}
    if against_nest:
        found["NEST"] = in_nest(scale, time, threads)
    print_table(found, f"Microcircuit, scale {scale:g}, {time / 1e3:g} s")


if __name__ == "__main__":
    typer.run(main)
