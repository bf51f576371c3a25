"""What spikes cost: synaptic operations."""

import numpy as np

from spikesim.connectivity.structured import Structured
from spikesim.kernel import kernel
from spikesim.network import COUNTS, Network


def fan_outs(network: Network) -> dict[str, np.ndarray]:
    """For each population whose spikes are counted how many synapses each of its neurons has in all, int64 (size,)."""
    counted = [probe.view.population for probe in network.probes if probe.variable == COUNTS]
    totals = {name: np.zeros(len(network.populations[name]), np.int64) for name in counted}
    for projection in network.projections.values():
        name = projection.source.population
        if isinstance(projection.rule, Structured) and name in totals:
            totals[name] = totals[name] + projection.rule.fan_out(network.shape(projection.source))
    return totals


@kernel
def totals(counts, fan_out, bounds, spikes, operations):
    """The sums of the spikes of the neurons of each population, and of the additions they caused.

    counts, fan_out: int64, of all populations one after the other, population p from ``bounds[p]`` on.
    """
    for p in range(len(spikes)):
        fired, added = 0, 0
        for k in range(bounds[p], bounds[p + 1]):
            fired += counts[k]
            added += counts[k] * fan_out[k]
        spikes[p], operations[p] = fired, added
