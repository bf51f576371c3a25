"""How long mapping onto Loihi takes and what it saves: recurrent networks with hidden clusters, up to 10 million synapses.

Prints seconds, cores, and messages per step beside the sequential and the random mapping (spikes of a neuron to each further core).
"""

import argparse
import time

import numpy as np

import spikesim as sim
from spikesim.hardware import map_to


def clustered(neurons: int, fan_out: int, size: int, inside: float, seed: int = 0) -> sim.Network:
    """Neurons of clusters of so many, strewn over the population; a share of the synapses stays inside the cluster."""
    rng = np.random.default_rng(seed)
    clusters = neurons // size
    label = rng.permutation(neurons) % clusters
    targets = rng.integers(0, neurons, (neurons, fan_out), dtype=np.int64)
    for cluster in range(clusters):
        members = np.flatnonzero(label == cluster)
        own = rng.random((len(members), fan_out)) < inside
        targets[members] = np.where(own, rng.choice(members, own.shape), targets[members])
    net = sim.Network()
    cells = net.population("cells", neurons, sim.LoihiLIF(du=400.0, dv=100.0, vth=500.0))
    weights = 2.0 * rng.integers(-60, 60, targets.size)
    net.project(cells, cells, sim.PairList(np.repeat(np.arange(neurons), fan_out), targets.ravel()), weight=weights, delay=1.0)
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=100_000)
    given = parser.parse_args()
    map_to(clustered(500, 10, 50, 0.9), "loihi1")  # compiles
    for neurons, fan_out in ((3_000, 40), (20_000, 50), (100_000, 100)):
        if neurons > given.largest:
            break
        net = clustered(neurons, fan_out, 400, 0.97)
        started = time.perf_counter()
        image = map_to(net, "loihi1", rates={"cells": 0.02})
        seconds = time.perf_counter() - started
        report = image.report
        beside = ", ".join(f"{name} {number:,.0f} on {cores:,}" for name, (cores, number) in report.naive.items())
        print(f"{neurons:,} neurons, {neurons * fan_out:,} synapses: {seconds:.1f} s, with naive ones, {report.messages:,.0f} messages a "
              f"step on {report.cores:,} cores of {report.chips} chips; {beside}")  # fmt: skip


if __name__ == "__main__":
    main()
