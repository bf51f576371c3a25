"""The current-based benchmark of Brette et al. (2007), J Comput Neurosci 23:349-98, against Brian2.

    python examples/benchmarks/cuba.py --against brian2 [--threads 1] [--rounds 5]

Brian2 compiles a C++ program first (its time is not counted), then both run one second of model time after 200 ms of
warm-up. Brian2's synapses have no delay, which spares it work; spikesim's have one step.
"""

import tempfile
from pathlib import Path

import typer
from side_by_side import script, side_by_side, spikesim_bench

PEERS = Path(__file__).parent / "peers"


def main(against: str = "brian2", threads: int = 1, rounds: int = 5, precision: str = "float64") -> None:
    if against != "brian2":
        raise typer.BadParameter(f"no such peer: {against}; there is brian2")
    with tempfile.TemporaryDirectory() as folder:
        script(PEERS / "brian2_cuba.py", "build", folder)
        side_by_side(
            "CUBA, 4,000 neurons, dt 0.1 ms",
            {
                f"spikesim, {threads} thread(s), {precision}": spikesim_bench("cuba", "--threads", str(threads), "--precision", precision),
                "Brian2 C++ standalone, 1 thread": lambda: script(PEERS / "brian2_cuba.py", "run", folder),
            },
            rounds=rounds,
        )


if __name__ == "__main__":
    typer.run(main)
