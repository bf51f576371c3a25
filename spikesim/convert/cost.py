"""What spikes cost: synaptic operations."""

from dataclasses import dataclass

import numpy as np

from spikesim.connectivity.structured import Structured
from spikesim.kernel import kernel
from spikesim.network import COUNTS, Network


@dataclass(frozen=True)
class FanOut:
    """How many synapses each neuron has.

    values: int32, of all populations one after the other; population p from ``bounds[p]`` on; counted: the populations whose
    spikes are counted, their numbers by name.
    """

    values: np.ndarray
    bounds: np.ndarray
    counted: dict[str, int]

    def cost(self, totals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the counted populations sent and caused, int64 (counted,) each: their spikes, and the additions.

        totals: of the spikes of each neuron, (neurons,).
        """
        spikes, operations = np.empty(len(self.bounds) - 1, np.int64), np.empty(len(self.bounds) - 1, np.int64)
        _add_up(totals, self.values, self.bounds, spikes, operations)
        chosen = list(self.counted.values())
        return spikes[chosen], operations[chosen]


def fan_out_of(network: Network) -> FanOut:
    """The fan-out of the neurons through structured projections."""
    fans = {name: np.zeros(len(population), np.int64) for name, population in network.populations.items()}
    for projection in network.projections.values():
        if isinstance(projection.rule, Structured):
            fans[projection.source.population] += projection.rule.fan_out(network.shape(projection.source))
    numbers = {name: at for at, name in enumerate(fans)}
    counted = {name: numbers[name] for name in (probe.view.population for probe in network.probes if probe.variable == COUNTS)}
    return FanOut(np.concatenate(list(fans.values())).astype(np.int32), np.cumsum([0, *map(len, fans.values())]), counted)


@kernel
def _add_up(counts, fan_out, bounds, spikes, operations):
    """The sums of the spikes of the neurons of each population, and of the additions they caused.

    counts, fan_out: of all populations one after the other; population p lies between ``bounds[p]`` and ``bounds[p + 1]``.
    """
    for p in range(len(spikes)):
        some, fans = counts[bounds[p] : bounds[p + 1]], fan_out[bounds[p] : bounds[p + 1]]
        fired, added = np.int64(0), np.int64(0)
        for k in range(len(some)):
            fired += some[k]
            added += np.int64(some[k]) * np.int64(fans[k])
        spikes[p], operations[p] = fired, added
