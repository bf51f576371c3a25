"""What more threads bring: the microcircuit of Potjans & Diesmann (2014), Cereb Cortex 24:785-806, with several numbers of them in turn.

python examples/benchmarks/threads.py [--threads 2 --threads 1] [--scale 1.0] [--rounds 5]
"""

from typing import Annotated

import typer
from side_by_side import Measure, side_by_side, spikesim_bench


def main(
    threads: Annotated[list[int], typer.Option(help="May be given more than once; the others are compared with the first.")] = [2, 1],  # noqa: B006
    scale: float = 1.0,
    time: Annotated[float, typer.Option(help="Model time of a timed segment in ms.")] = 500.0,
    rounds: int = 5,
    precision: str = "float32",
) -> None:
    def bench(number: int) -> Measure:
        options = {"scale": scale, "threads": number, "precision": precision, "time": time}
        return spikesim_bench("microcircuit", *(f"--{name}={value}" for name, value in options.items()))

    side_by_side(f"Microcircuit, scale {scale:g}", {f"{each} thread{'s'[: each > 1]}": bench(each) for each in threads}, rounds=rounds)


if __name__ == "__main__":
    typer.run(main)
