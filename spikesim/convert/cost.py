"""What a network costs: multiply-accumulates of the original, synaptic operations of the spikes."""

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from spikesim.connectivity.structured import Structured
from spikesim.convert.graph import Graph, Node
from spikesim.convert.operators import Along, Convolution, Full
from spikesim.network import Network


def multiply_accumulates(graph: Graph) -> dict[str, int]:
    """For each node the multiply-accumulates of its linear operator for one input (padding included)."""
    return {node.name: _macs(node, graph) for node in graph if isinstance(node.operator, Convolution | Full | Along)}


def _macs(node: Node, graph: Graph) -> int:
    operator = node.operator
    if isinstance(operator, Full):
        return operator.weights.size
    read = graph.nodes[node.inputs[0]].size
    if isinstance(operator, Along):
        return operator.matrix.nnz * (read // operator.matrix.shape[1])
    assert isinstance(operator, Convolution)
    return (read if operator.transposed else node.size) * math.prod(operator.weights.shape[1:])


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
