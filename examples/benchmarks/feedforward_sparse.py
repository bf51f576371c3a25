"""The layers of feedforward.py with a hundredth of the inputs firing in a step, against norse, Brian2 or NEST.

    python examples/benchmarks/feedforward_sparse.py --against norse [--batch 64] [--threads 1] [--rounds 5]

What norse does takes the same time however few neurons fire.
"""

import typer
from contest import contest

from spikesim.models.networks.feedforward import SAMPLE

if __name__ == "__main__":
    typer.run(contest("feedforward_sparse", {"norse": 1.0, "brian2": 1.0, "nest": 1.0}, also={"ms / sample": SAMPLE}))
