"""What it costs to share the machine: threads that wait for each other, while others want the same cores.

    python examples/benchmarks/oversubscribed.py [--threads 2] [--scale 0.1] [--rounds 5]

The microcircuit of Potjans & Diesmann (2014), Cereb Cortex 24:785-806, with the given number of threads on the quiet machine; the
same beside as many processes in an endless loop; and with twice the threads beside them. Fair would be to take twice as long,
for half of the cores' time goes to the others.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from side_by_side import Measure, side_by_side, spikesim_bench


@contextmanager
def endless_loops(number: int) -> Iterator[None]:
    """So many processes that never pause."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def beside(loops: int, measure: Measure) -> Measure:
    """The same measurement on a busy machine."""

    def measured() -> dict[str, float]:
        with endless_loops(loops):
            return measure()

    return measured


def main(threads: int = 2, scale: float = 0.1, time: float = 1000.0, rounds: int = 5, precision: str = "float32") -> None:
    def bench(number: int) -> Measure:
        options = {"scale": scale, "threads": number, "precision": precision, "time": time}
        return spikesim_bench("microcircuit", *(f"--{name}={value}" for name, value in options.items()))

    side_by_side(
        f"Microcircuit, scale {scale:g}",
        {
            f"{threads} threads, quiet": bench(threads),
            f"{threads} threads beside {threads} endless loops": beside(threads, bench(threads)),
            f"{2 * threads} threads beside {threads} endless loops": beside(threads, bench(2 * threads)),
        },
        rounds=rounds,
    )


if __name__ == "__main__":
    typer.run(main)
