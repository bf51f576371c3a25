"""What spikes cost: synaptic operations."""

import numpy as np

from spikesim.connectivity.structured import Structured
from spikesim.kernel import kernel
from spikesim.network import Network


def fan_outs(network: Network) -> dict[str, np.ndarray]:
    """For each population how many synapses each of its neurons has in all, int64 (size,)."""
    totals = {name: np.zeros(len(population), np.int64) for name, population in network.populations.items()}
    for projection in network.projections.values():
        if isinstance(projection.rule, Structured):
            name = projection.source.population
            totals[name] = totals[name] + projection.rule.fan_out(network.shape(projection.source))
    return totals


@kernel
def totals(counts, fan_out):
    """The sums of the spikes of a population's neurons, and of the additions they caused."""
    spikes, operations = 0, 0
    for k in range(len(counts)):
        spikes += counts[k]
        operations += counts[k] * fan_out[k]
    return spikes, operations
