"""The current-based benchmark of Brette et al. (2007), J Comput Neurosci 23:349-98, against Brian2 or NEST.

    python examples/benchmarks/cuba.py --against brian2 [--scale 25] [--threads 1] [--rounds 5]

4,000 neurons with 80 synapses each, or at scale 25 100,000 with 1,000. NEST's synapses need a delay of one step; so do
spikesim's and, without the cost of a queue, Brian2's.
"""

import typer
from contest import ANY, contest

if __name__ == "__main__":
    typer.run(contest("cuba", {"brian2": ANY, "nest": ANY}))
