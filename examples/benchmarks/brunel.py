"""The network of Brunel (2000), J Comput Neurosci 8:183-208, at g = 5 and eta = 2, against Brian2 or NEST.

    python examples/benchmarks/brunel.py --against brian2 [--scale 4] [--threads 2] [--rounds 5]

12,500 neurons with 1,250 synapses each, or at scale 4 50,000 with 5,000, and Poisson drive. Brian2's neurons have that many
in the mean, because it delivers spikes twice as fast if it draws the targets of each source.
"""

import typer
from contest import ANY, contest

if __name__ == "__main__":
    typer.run(contest("brunel", {"brian2": ANY, "nest": ANY}))
