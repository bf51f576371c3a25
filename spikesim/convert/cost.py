"""What spikes cost: synaptic operations."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from spikesim.connectivity.structured import Structured
from spikesim.network import Network


def fan_outs(network: Network) -> dict[str, np.ndarray]:
    """For each population how many synapses each of its neurons has in all, int64 (size,)."""
    totals: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(1, np.int64))
    for projection in network.projections.values():
        if isinstance(projection.rule, Structured):
            name = projection.source.population
            totals[name] = totals[name] + projection.rule.fan_out(network.shape(projection.source))
    return dict(totals)


def synaptic_operations(events: Mapping[str, np.ndarray], fan_out: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each population the additions its spikes caused, int64 (images,); ``events``: int64 (images, neurons)."""
    return {name: counts @ fan_out[name] if name in fan_out else np.zeros(len(counts), np.int64) for name, counts in events.items()}
