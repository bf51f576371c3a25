"""Calibration: what a spike of each neuron is worth, from what the network does on data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from spikesim.convert.graph import Graph, Node, channel_shape, evaluate
from spikesim.convert.operators import Operator, Pointwise, Product, Shape
from spikesim.description import Description, flag, real, whole
from spikesim.errors import DescriptionError, unknown_name

RATE, SIGNED = CODINGS = "rate", "signed"
METHODS = "percentile", "mse"
CURRENT, POISSON, LATENCY = INPUTS = "current", "poisson", "latency"
GRID = np.linspace(0.1, 1.0, 37)  # thresholds that are tried for the least error, as shares of the largest activation
SMOOTH = ("exp", "reciprocal", "rsqrt", "square")  # inside of groups, where clipping one value would change all others
FINE = {RATE: 2.0**-15, SIGNED: 2.0**-26}  # what a relay's spike is worth, of the largest sum it passes on; what settles is exact
BURST = {RATE: 1 << 20, SIGNED: 1 << 21}  # and how many of those it may send in a step
GRADED = 16  # quanta up to the threshold of neurons that are no rectifiers, in rate coding: their spikes are graded anyway
OFF_TIES = 1.003**0.5  # on thresholds of products: multiples of two quanta would else lie half-way between those of a third
ROOM = 4  # how far beyond their threshold these reach, in thresholds a step
BATCH = 64  # images that are evaluated at once


@dataclass(frozen=True, eq=False)
class Quantum:
    """What the spikes of one node are worth.

    worth: float64 of the node's shape, the value of a spike of size 1; least, most: bounds of the count, in signed coding;
    burst: the largest size of a spike; clipped: share of the activations beyond what can be expressed; relay: the value of
    a spike of size 1 of a relay that passes the node's value on, a fine power of two; start: what tuning adds to the first
    potential, of the node's shape.
    """

    worth: np.ndarray
    least: float
    most: float
    burst: int
    clipped: float
    relay: float
    start: Any = 0.0


class Calibration(Description):
    """How thresholds are chosen.

    coding: "rate" or "signed"; method: "percentile" of each channel's activations, or "mse", the least squared error of
    ``steps`` steps; levels: quanta up to the percentile, in signed coding; burst: the most spikes a neuron sends at once. In rate
    coding a burst is a threshold's worth: a spike is worth a threshold / burst, with more than one it may be negative. tuned:
    whether biases and first potentials are fitted to ``steps`` steps (see `spikesim.convert.tune`), in rate coding.
    input: "current", the same in each step, once in signed coding; "poisson" spikes, in rate coding; or "latency", in signed
    coding: one spike for each value, the earlier the larger it is, within ``levels`` steps.
    """

    coding: str = RATE
    method: str = "percentile"
    percentile: float = real(default=99.9, above=0.0, at_most=100.0)
    levels: int = whole(default=32, at_least=1)
    steps: int = whole(default=32, at_least=1)
    burst: int = whole(default=1, at_least=1)
    tuned: bool = flag(default=False)
    input: str = CURRENT

    def check(self) -> None:
        for key, known in (("coding", CODINGS), ("method", METHODS), ("input", INPUTS)):
            if getattr(self, key) not in known:
                raise unknown_name(key, getattr(self, key), known, where=f"Calibration.{key}")
        if self.tuned and self.coding != RATE:
            raise DescriptionError("Calibration.tuned: signed coding settles to the quantised network by itself; tune rate coding only")
        if (self.input == POISSON and self.coding != RATE) or (self.input == LATENCY and self.coding != SIGNED):
            raise DescriptionError(f"Calibration.input: {self.input!r} does not go with {self.coding!r} coding; poisson spikes are rates, "
                                   "the time of a single spike is a value that settles")  # fmt: skip
        if self.input != CURRENT and self.tuned:
            raise DescriptionError(f"Calibration.tuned: needs input={CURRENT!r}, got {self.input!r}")


def calibrate(graph: Graph, images: torch.Tensor, chosen: Calibration) -> dict[str, Quantum]:
    """A `Quantum` for every node but the input: percentile of the size of its channel's values (Rueckauer et al. 2017).

    A threshold is the largest value a neuron of rate coding can express, one spike a step; a robust percentile clips few
    activations and leaves the others a finer resolution. A channel that is silent on the data takes its layer's threshold.
    For what may become a relay, linear nodes and the input, it is a fine power of two.
    """
    sampled = _sampled(graph, images)
    consumers = graph.consumers()
    return {node.name: _quantum(node, sampled[node.name], channel_shape(graph, node, consumers), chosen) for node in graph}


def _sampled(graph: Graph, images: torch.Tensor) -> Mapping[str, np.ndarray]:
    """The values (n, *shape) of all neurons; of other nodes, which are many, only the largest and least of each batch.

    Raises `DescriptionError` for values that are not finite.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in graph.nodes}
    for at in range(0, len(images), BATCH):
        with torch.no_grad():
            values = evaluate(graph, images[at : at + BATCH])
        for node in graph:
            value = values[node.name].numpy()
            if not np.isfinite(value).all():
                raise DescriptionError(f"calibration: {node.where or node.name} gives nan or infinity on the images")
            extremes = node.linear or node.shown
            found[node.name].append(np.stack([value.max(axis=0), value.min(axis=0)]) if extremes else value)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _fine(values: np.ndarray, coding: str) -> float:
    """What the spikes of a relay of such values are worth."""
    largest = float(np.abs(values).max(initial=0.0))
    return float(2.0 ** np.ceil(np.log2(largest * FINE[coding]))) if largest > 0.0 else 1.0


def _quantum(node: Node, values: np.ndarray, shape: Shape, chosen: Calibration) -> Quantum:
    relay = _fine(values, chosen.coding)
    if node.shown and chosen.input != CURRENT:
        return _shown(values, chosen)
    if node.linear or node.shown:
        return Quantum(np.full(node.shape, relay), -np.inf, np.inf, BURST[chosen.coding], 0.0, relay)
    channels = np.abs(np.moveaxis(values.reshape(len(values), shape[0], -1), 1, 0).reshape(shape[0], -1))
    full = _thresholds(node, channels, chosen)
    per_value = np.broadcast_to(full[:, None], (shape[0], node.size // shape[0])).reshape(node.shape)
    levels, reach = _levels(node, chosen), _reach(node, chosen)
    clipped = float(np.mean(channels > reach * full[:, None] * (1.0 + 1e-9)))
    if chosen.coding == RATE:
        return Quantum(per_value / levels, -np.inf, np.inf, round(levels * reach), clipped, relay)
    return Quantum(per_value / levels, -levels * reach if values.min() < 0.0 else 0.0, levels * reach, chosen.burst, clipped, relay)


def _shown(values: np.ndarray, chosen: Calibration) -> Quantum:
    """Of input spikes: the largest value is one spike a step, or the spike in the first step."""
    if values.min() < 0.0:
        raise DescriptionError(f"calibration: input={chosen.input!r} has no negative spikes, but the images go down to {values.min():g}; "
                               f"shift them, or use input={CURRENT!r}")  # fmt: skip
    levels = chosen.levels if chosen.input == LATENCY else 1
    worth = (float(values.max()) or 1.0) / levels
    return Quantum(np.full(values.shape[1:], worth), 0.0, levels, levels, 0.0, worth)


def _levels(node: Node, chosen: Calibration) -> float:
    """Quanta up to the threshold; in signed coding quantised activations bring their own number."""
    if chosen.coding == RATE:
        return float(chosen.burst if rectifies(node.operator) else max(chosen.burst, GRADED))
    own = node.operator.parameters if isinstance(node.operator, Pointwise) and node.operator.function == "qcfs" else {}
    return float(own.get("levels", chosen.levels))


def _reach(node: Node, chosen: Calibration) -> float:
    """The largest value that can be expressed, in thresholds."""
    if isinstance(node.operator, Pointwise) and node.operator.function == "qcfs":
        return 1.0
    if chosen.coding == SIGNED:
        return np.inf
    return 1.0 if rectifies(node.operator) else float(ROOM)


def _thresholds(node: Node, channels: np.ndarray, chosen: Calibration) -> np.ndarray:
    """The threshold of each channel, from its activations' sizes (channels, samples)."""
    given = node.operator.parameters if isinstance(node.operator, Pointwise) else {}
    if "threshold" in given:
        return np.broadcast_to(np.asarray(given["threshold"], np.float64).reshape(-1), len(channels)).copy()
    percentile = 100.0 if _in_group(node) else chosen.percentile
    of_layer = _percentile(channels.reshape(-1), percentile) or 1.0
    found = np.array([_percentile(channel, percentile) or of_layer for channel in channels])
    if chosen.method == "mse" and not _in_group(node):
        found = np.array([_least_error(channel, chosen.steps * round(_levels(node, chosen))) or of_layer for channel in channels])
    found = found * OFF_TIES if isinstance(node.operator, Product) else found
    ceiling = np.asarray(given.get("high", np.inf), np.float64)
    return np.minimum(found, ceiling) if ceiling.ndim == 0 and ceiling > 0.0 else found


def rectifies(operator: Operator) -> bool:
    """Whether a function without negative values that is the identity between 0 and its ceiling."""
    if not isinstance(operator, Pointwise):
        return False
    return operator.function in ("relu", "qcfs") or (operator.function == "clamp" and not np.any(operator.parameters["low"]))


def _in_group(node: Node) -> bool:
    return isinstance(node.operator, Product) or (isinstance(node.operator, Pointwise) and node.operator.function in SMOOTH)


def _percentile(values: np.ndarray, percentile: float) -> float:
    positive = values[values > 0.0]
    return float(np.percentile(positive, percentile)) if len(positive) else 0.0


def _least_error(values: np.ndarray, steps: int) -> float:
    """The threshold whose staircase of so many steps lies nearest to the activations (Li et al. 2021)."""
    positive = values[values > 0.0]
    if not len(positive):
        return 0.0
    candidates = positive.max() * GRID
    errors = [np.mean((positive - t / steps * np.clip(np.floor(positive * steps / t + 0.5), 0, steps)) ** 2) for t in candidates]
    return float(candidates[int(np.argmin(errors))])
