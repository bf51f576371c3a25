"""The published networks that `spikesim bench` measures, and how large and how long."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from spikesim.models.networks.brunel import brunel
from spikesim.models.networks.feedforward import SAMPLE, STEP, feedforward
from spikesim.models.networks.microcircuit import microcircuit
from spikesim.models.networks.vogels_abbott import coba, cuba
from spikesim.network import Network


@dataclass(frozen=True)
class Benchmark:
    """A network to be measured, and how: times are in ms."""

    build: Callable[[float], Network]  # by the scale of the number of neurons
    least: float  # scale at which every population still has some neurons
    most: float = math.inf
    dt: float = 0.1
    warm_up: float = 200.0
    duration: float = 1000.0  # of a timed segment
    weight_bits: int | None = None  # in which weights are stored
    sample: float | None = None  # what one sample of a batch takes, of networks that work on samples


def balanced(build: Callable[..., Network], scale: float) -> Network:
    """A network of Vogels & Abbott that grows as in published comparisons: 2 % connectivity up to 1,000 synapses a neuron.

    A smaller one keeps its 80 synapses a neuron, for fewer and stronger ones would change its activity.
    """
    neurons = round(4000 * scale)
    return build(neurons=neurons, synapses=min(max(80.0, 0.02 * neurons), 1000.0))


def layers(activity: float) -> Benchmark:
    """The feed-forward network, of which one size is known; weights of 16 bits are read in half the time of 32."""
    return Benchmark(lambda scale: feedforward(activity=activity), least=1.0, most=1.0, dt=STEP, warm_up=SAMPLE, duration=100 * SAMPLE,
                     weight_bits=16, sample=SAMPLE)  # fmt: skip


BENCHMARKS = {
    "cuba": Benchmark(lambda scale: balanced(cuba, scale), least=0.025),
    "coba": Benchmark(lambda scale: balanced(coba, scale), least=0.025),
    "brunel": Benchmark(lambda scale: brunel(neurons=round(12_500 * scale)), least=0.04),
    "microcircuit": Benchmark(lambda scale: microcircuit(scale=scale), least=0.01),
    "feedforward": layers(activity=0.1),
    "feedforward_sparse": layers(activity=0.01),
}
