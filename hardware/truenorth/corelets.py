"""Corelets: small networks of TrueNorth neurons with named inputs and outputs, to be put together (after Amir et al. 2013, IJCNN).

A corelet adds populations to a `Network` and returns its connectors; `connect` leads an output, or any population, into an input:

    edges = corelets.convolution(net, "edges", (1, 32, 32), kernels, threshold=4)
    best = corelets.maximum(net, "best", edges.outputs["out"].shape, 2)
    corelets.connect(net, image, edges.inputs["in"])
    corelets.connect(net, edges.outputs["out"], best.inputs["in"])

The network runs on any engine with dt=1 and maps onto the chip; the mapper shares out axons, so weights may be any whole numbers.
A spike takes the connection's delay, 1 tick or more, into a corelet, and neurons fire in the tick in which their inputs arrive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikesim.connectivity.rules import Entries, Matrix, OneToOne, Rule
from spikesim.connectivity.structured import Conv, Pool
from spikesim.errors import DescriptionError, KindError, unknown_name
from spikesim.hardware.truenorth.limits import MOST_DELAY
from spikesim.hardware.unroll import unrolled
from spikesim.network import Network
from spikesim.neurons.truenorth import LARGEST_THRESHOLD, TrueNorth
from spikesim.population import Population, View


@dataclass(frozen=True)
class Input:
    """A connector: for each population that it leads to a rule, and ticks in addition to those of the connection."""

    name: str
    size: int
    ends: tuple[tuple[Population, Rule, int], ...]


@dataclass(frozen=True)
class Corelet:
    """Populations that work together; what one needs to know of them are their connectors."""

    name: str
    inputs: Mapping[str, Input]
    outputs: Mapping[str, Population]

    def input(self, name: str) -> Input:
        """The input called ``name``."""
        if name not in self.inputs:
            raise unknown_name("input", name, self.inputs, where=f"corelet {self.name!r}")
        return self.inputs[name]

    def output(self, name: str) -> Population:
        """The output called ``name``."""
        if name not in self.outputs:
            raise unknown_name("output", name, self.outputs, where=f"corelet {self.name!r}")
        return self.outputs[name]


def connect(network: Network, source: Population | View, into: Input, *, delay: int = 1) -> None:
    """Lead the spikes of ``source`` into an input; they arrive ``delay`` ticks later (0 is allowed for spikes from outside)."""
    if not isinstance(into, Input):
        raise KindError(f"connect: expected the input of a corelet, such as filter.inputs['in'], got {into!r}")
    if len(source) != into.size:
        raise DescriptionError(f"connect: input {into.name!r} has {into.size} lines, the source has {len(source)} neurons")
    for target, rule, ticks in into.ends:
        network.project(source, target, rule, weight=1.0, delay=float(delay + ticks))


def splitter(network: Network, name: str, size: int, branches: int) -> Corelet:
    """Repeats each of ``size`` lines on outputs "0", "1", ...: out_k(t) = in(t)."""
    made = [network.population(f"{name}.{k}", size, relay()) for k in range(_count(branches, "splitter: branches"))]
    return Corelet(name, {"in": Input("in", size, tuple((p, OneToOne(), 0) for p in made))}, {str(k): p for k, p in enumerate(made)})


def delay_line(network: Network, name: str, size: int, ticks: int) -> Corelet:
    """Repeats its input ``ticks`` later, beyond the 15 ticks of one connection: out(t) = in(t - ticks)."""
    stages = [network.population(f"{name}.0", size, relay())]
    left = _count(ticks, "delay_line: ticks")
    while left:
        step = min(left, MOST_DELAY)
        stages.append(network.population(f"{name}.{len(stages)}", size, relay()))
        network.project(stages[-2], stages[-1], OneToOne(), weight=1.0, delay=float(step))
        left -= step
    return Corelet(name, {"in": Input("in", size, ((stages[0], OneToOne(), 0),))}, {"out": stages[-1]})


def weighted_sum(network: Network, name: str, weights: Any, *, threshold: int = 1, reset: str = "subtract",
                 floor: int = LARGEST_THRESHOLD) -> Corelet:  # fmt: skip
    """Sums with any whole weights (inputs, outputs): V += w . in(t); at V >= threshold a spike, and V -= threshold.

    So out has fired floor(sum of w . in / threshold) spikes, as long as no more than one a tick is due and no output has fired too
    much. reset="value" forgets the rest: out(t) = [w . in(t) >= threshold] with ``floor=0``. floor: V is held at -floor.
    """
    matrix = np.asarray(weights)
    if matrix.ndim != 2:
        raise DescriptionError(f"corelet {name!r}: weights must have the shape (inputs, outputs), got {matrix.shape}")
    sums = network.population(f"{name}.sum", matrix.shape[1], TrueNorth(v_threshold=threshold, reset=reset, v_floor=floor))
    return Corelet(name, {"in": Input("in", len(matrix), ((sums, Matrix(matrix), 0),))}, {"out": sums})


def maximum(network: Network, name: str, shape: tuple[int, int, int], kernel: int) -> Corelet:
    """The largest of each window of ``kernel`` x ``kernel`` lines: out(t) = max of in(t), for spikes the OR."""
    return _pool(network, name, shape, kernel, TrueNorth())


def average(network: Network, name: str, shape: tuple[int, int, int], kernel: int) -> Corelet:
    """The mean of each window: a spike for every kernel**2 that arrived, floor(sum of in / kernel**2) in all."""
    return _pool(network, name, shape, kernel, TrueNorth(v_threshold=kernel**2, reset="subtract"))


def winner_take_all(network: Network, name: str, size: int, *, threshold: int) -> Corelet:
    """The line that is first to bring ``threshold`` spikes fires, and holds all others at 0: a race that starts anew.

    Lines that arrive there in the same tick fire together. An inhibitory connection of 1 tick from each neuron to all others.
    """
    racers = network.population(f"{name}.racers", size, TrueNorth(v_threshold=threshold, v_floor=0))
    network.project(racers, racers, Matrix((threshold + 1.0) * (np.eye(size) - 1.0)), weight=1.0, delay=1.0)
    return Corelet(name, {"in": Input("in", size, ((racers, OneToOne(), 0),))}, {"out": racers})


def filter_bank(network: Network, name: str, taps: Any, *, threshold: int = 1) -> Corelet:
    """Linear filters in time, taps (filters, inputs, length) whole numbers: y_f(t) = sum_i,k taps[f, i, k] in_i(t - k).

    Outputs "positive" and "negative" fire for y and -y as `weighted_sum` does, so that their difference is sum of y / threshold,
    to one spike.
    """
    taps = np.asarray(taps)
    if taps.ndim != 3:
        raise DescriptionError(f"corelet {name!r}: taps must have the shape (filters, inputs, length), got {taps.shape}")
    model = TrueNorth(v_threshold=threshold, reset="subtract")
    sides = {side: network.population(f"{name}.{side}", len(taps), model) for side in ("positive", "negative")}
    ends = [(population, Matrix(sign * taps[:, :, k].T), k) for (_, population), sign in zip(sides.items(), (1, -1), strict=True)
            for k in range(taps.shape[2])]  # fmt: skip
    for source, target in (("positive", "negative"), ("negative", "positive")):  # what one has sent, the other takes as sent
        network.project(sides[source], sides[target], OneToOne(), weight=float(threshold), delay=1.0)
    return Corelet(name, {"in": Input("in", taps.shape[1], tuple(ends))}, sides)


def convolution(network: Network, name: str, shape: tuple[int, int, int], kernels: Any, *, threshold: int = 1, stride: int = 1,
                padding: int = 0, reset: str = "subtract", floor: int = LARGEST_THRESHOLD) -> Corelet:  # fmt: skip
    """`weighted_sum` over each window of an image of ``shape`` (channels, height, width); kernels (out, channels, height, width)."""
    conv = Conv(kernels, stride, padding)
    made = conv.target_shape(shape, f"corelet {name!r}")
    sums = network.population(f"{name}.sum", made, TrueNorth(v_threshold=threshold, reset=reset, v_floor=floor))
    return Corelet(name, {"in": Input("in", int(np.prod(shape)), ((sums, _matrix(conv, shape, made), 0),))}, {"out": sums})


def oscillator(network: Network, name: str, periods: Any, phases: Any = 0) -> Corelet:
    """Neurons that fire in the ticks t with t = phase modulo period; a leak of 1 drives them."""
    period, phase = np.broadcast_arrays(np.atleast_1d(np.asarray(periods)), np.asarray(phases))
    if (period < 1).any() or (phase < 0).any() or (phase >= period).any():
        raise DescriptionError(f"corelet {name!r}: expected periods from 1 on and phases from 0 to period - 1")
    start = period - 1 - phase
    return Corelet(
        name, {}, {"out": network.population(f"{name}.clock", len(period), TrueNorth(leak=1, v_threshold=period), initial={"v": start})}
    )


def relay() -> TrueNorth:
    """A neuron that repeats each spike it gets, in the same tick."""
    return TrueNorth(v_threshold=1, v_floor=0)


def _pool(network: Network, name: str, shape: tuple[int, int, int], kernel: int, model: TrueNorth) -> Corelet:
    pool = Pool(kernel).as_conv(shape, f"corelet {name!r}")
    made = network.population(f"{name}.pool", pool.target_shape(shape, f"corelet {name!r}"), model)
    return Corelet(name, {"in": Input("in", int(np.prod(shape)), ((made, _matrix(pool, shape, made.shape), 0),))}, {"out": made})


def _matrix(conv: Conv, source_shape: tuple[int, ...], target_shape: tuple[int, ...]) -> Matrix:
    """A convolution written out, so that sources of any shape can lead into it."""
    sources, targets, weights = unrolled(conv, source_shape, target_shape)
    kept = weights != 0.0
    return Matrix(Entries(sources[kept], targets[kept], weights[kept], (int(np.prod(source_shape)), int(np.prod(target_shape)))))


def _count(value: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise DescriptionError(f"{what} must be a whole number from 1 on, got {value!r}")
    return int(value)
