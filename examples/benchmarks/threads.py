"""What more threads bring: the microcircuit of Potjans & Diesmann (2014), Cereb Cortex 24:785-806, with several numbers of them in turn.

python examples/benchmarks/threads.py [--threads 2 --threads 1] [--scale 1.0] [--rounds 30]

All are built first, in one process, and then go on in turn by short segments, so that each round compares them within less than
a second: on a virtual machine the cores' speeds change from one second to the next, with what its neighbours do.
"""

import time
from typing import Annotated

import typer
from side_by_side import Measure, side_by_side

from spikesim import Simulation
from spikesim.benchmarks import BENCHMARKS

MICROCIRCUIT = BENCHMARKS["microcircuit"]


def segments(threads: int, scale: float, duration: float, precision: str) -> Measure:
    """Build the network and warm it up; each measurement goes on for ``duration`` ms."""
    started = time.perf_counter()
    simulation = Simulation(MICROCIRCUIT.build(scale), dt=MICROCIRCUIT.dt, seed=1, threads=threads, precision=precision)
    built = time.perf_counter() - started
    simulation.run(MICROCIRCUIT.warm_up, progress=False)

    def measure() -> dict[str, float]:
        started = time.perf_counter()
        recording = simulation.run(duration, progress=False)
        wall = time.perf_counter() - started
        spikes = sum(len(trains.ids) for trains in recording.spikes.values())
        rate = 1e3 * spikes / duration / simulation.program.neurons
        return {"wall_per_model_time": 1e3 * wall / duration, "rate_hz": rate, "build_time_s": built}

    return measure


def main(
    threads: Annotated[list[int], typer.Option(help="May be given more than once; the others are compared with the first.")] = [2, 1],  # noqa: B006
    scale: float = 1.0,
    duration: Annotated[float, typer.Option("--time", help="Model time of a segment in ms.")] = 100.0,
    rounds: int = 30,
    precision: str = "float32",
) -> None:
    contenders = {f"{each} thread{'s'[: each > 1]}": segments(each, scale, duration, precision) for each in threads}
    side_by_side(f"Microcircuit, scale {scale:g}", contenders, rounds=rounds)


if __name__ == "__main__":
    typer.run(main)
