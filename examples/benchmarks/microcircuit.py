"""The cortical microcircuit of Potjans & Diesmann (2014), Cereb Cortex 24:785-806, with Poisson drive, against NEST or Brian2.

    python examples/benchmarks/microcircuit.py --against nest [--scale 0.1] [--threads 2] [--rounds 3]

Scaled as in van Albada et al. (2015). The whole circuit takes NEST 12 GB; Brian2, which needs 100 bytes a synapse, is run up to
scale 0.2.
"""

import typer
from contest import ANY, contest

if __name__ == "__main__":
    typer.run(contest("microcircuit", {"nest": ANY, "brian2": 0.2}))
