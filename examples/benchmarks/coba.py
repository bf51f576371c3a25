"""The conductance-based benchmark of Brette et al. (2007), J Comput Neurosci 23:349-98, against Brian2 or NEST.

    python examples/benchmarks/coba.py --against nest [--scale 25] [--threads 1] [--rounds 5]

4,000 neurons with 80 synapses each, or at scale 25 100,000 with 1,000. The steps differ: NEST solves the equations by an
adaptive Runge-Kutta method, Brian2 by exponential Euler, spikesim by an exponential midpoint rule.
"""

import typer
from contest import ANY, contest

if __name__ == "__main__":
    typer.run(contest("coba", {"brian2": ANY, "nest": ANY}))
