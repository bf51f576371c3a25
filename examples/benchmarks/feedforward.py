"""Layers of 784-1024-1024-10 neurons driven by noise (see spikesim/models/networks/feedforward.py), against norse, Brian2 or NEST.

    python examples/benchmarks/feedforward.py --against norse [--batch 64] [--threads 1] [--rounds 5]

A tenth of the inputs fires in a step; feedforward_sparse.py is the same with a hundredth. One sample is 100 steps of 1 ms. norse
takes samples in batches and integrates every neuron in every step; spikesim runs them side by side.
"""

import typer
from contest import contest

from spikesim.models.networks.feedforward import SAMPLE

if __name__ == "__main__":
    typer.run(contest("feedforward", {"norse": 1.0, "brian2": 1.0, "nest": 1.0}, also={"ms / sample": SAMPLE}))
