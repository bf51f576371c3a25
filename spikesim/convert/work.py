"""What each value of a converted network costs: multiply-accumulates of the module beside the spikes that replace them.

Both are counted where a value is *sent from*: a layer's spikes cause additions in the operators that read it, and these
operators are the multiply-accumulates that the module spends on the same values. Their ratio is how often the operators
are computed for one image, spike by spike.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spikesim.convert.graph import Graph, reached
from spikesim.convert.operators import Reshape
from spikesim.convert.report import relayed

if TYPE_CHECKING:
    from spikesim.convert.converted import ConvertedNetwork, SpikingResult


@dataclass(frozen=True)
class Work:
    """Means per image of the value of one node.

    macs: multiply-accumulates of the module's operators that read it; spikes: of its neurons; rate: spikes per neuron and
    step, over the steps the image took; operations: additions that these spikes cause; relayed, relayed_operations: the same
    of relays, which pass sums of spikes on as graded spikes.
    """

    macs: int
    spikes: float = 0.0
    rate: float = 0.0
    operations: float = 0.0
    relayed: float = 0.0
    relayed_operations: float = 0.0


def work_of(converted: "ConvertedNetwork", result: "SpikingResult") -> dict[str, Work]:
    """The work of the input, of every non-linear node and of linear nodes whose value is relayed, by name."""
    graph = converted.graph
    macs = macs_of_readers(graph)
    relays = {name: base(graph, relayed(name, graph)) for name in converted.lowered.relays}
    wanted = {graph.input.name, *macs, *relays.values()} | {node.name for node in graph if not node.linear}
    return {node.name: _work(node.name, node.size, macs[node.name], relays, result) for node in graph if node.name in wanted}


def _work(name: str, size: int, macs: int, relays: Mapping[str, str], result: "SpikingResult") -> Work:
    through = [relay for relay, value in relays.items() if value == name]
    passed = {"relayed": _mean(result.relayed, through), "relayed_operations": _mean(result.synaptic_operations, through)}
    if name not in result.spikes:
        return Work(macs, **passed)
    rate = float(np.mean(result.spikes[name] / (size * np.maximum(result.ended, 1))))
    return Work(macs, _mean(result.spikes, [name]), rate, _mean(result.synaptic_operations, [name]), **passed)


def _mean(counts: Mapping[str, np.ndarray], names: list[str]) -> float:
    return float(sum(counts[name].mean() for name in names if name in counts))


def macs_of_readers(graph: Graph) -> Counter[str]:
    """For each value the multiply-accumulates of the operators that read it; all that see only the image count for the input."""
    from_spikes = reached(graph)[1]
    found: Counter[str] = Counter()
    for node in graph:
        if node.macs:
            read = base(graph, node.inputs[0])
            found[read if from_spikes[read] else graph.input.name] += node.macs
    return found


def base(graph: Graph, name: str) -> str:
    """The node whose numbers a node holds under another shape."""
    while isinstance(graph.nodes[name].operator, Reshape):
        name = graph.nodes[name].inputs[0]
    return name
