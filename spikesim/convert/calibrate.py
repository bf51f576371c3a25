"""Calibration: what a spike of each neuron is worth, from what the network does on data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from spikesim.convert.graph import Graph, Node, channel_shape, evaluate
from spikesim.convert.operators import Pointwise, Product, Shape
from spikesim.description import Description, real, whole
from spikesim.errors import DescriptionError, unknown_name

RATE, SIGNED = CODINGS = "rate", "signed"
METHODS = "percentile", "mse"
GRID = np.linspace(0.1, 1.0, 37)  # thresholds that are tried for the least error, as shares of the largest activation
SMOOTH = ("exp", "reciprocal", "rsqrt", "square")  # inside of groups, where clipping one value would change all others
FINE = 2.0**-15  # what a relay's spike is worth, of the largest sum it passes on
BURST = 1 << 20  # and how many of those it may send in a step
BATCH = 256  # images that are evaluated at once


@dataclass(frozen=True, eq=False)
class Quantum:
    """What the spikes of one node are worth.

    worth: float64 of the node's shape, the value of a spike of size 1; least, most: bounds of the count, in signed coding;
    burst: the largest size of a spike; clipped: share of the activations beyond what can be expressed.
    """

    worth: np.ndarray
    least: float
    most: float
    burst: int
    clipped: float


class Calibration(Description):
    """How thresholds are chosen.

    coding: "rate" or "signed"; method: "percentile" of each channel's activations, or "mse", the least squared error of
    ``steps`` steps; levels: quanta up to the percentile, in signed coding; burst: the most spikes a signed neuron sends at once.
    """

    coding: str = RATE
    method: str = "percentile"
    percentile: float = real(default=99.9, above=0.0, at_most=100.0)
    levels: int = whole(default=32, at_least=1)
    steps: int = whole(default=32, at_least=1)
    burst: int = whole(default=1, at_least=1)

    def check(self) -> None:
        for key, known in (("coding", CODINGS), ("method", METHODS)):
            if getattr(self, key) not in known:
                raise unknown_name(key, getattr(self, key), known, where=f"Calibration.{key}")


def calibrate(graph: Graph, images: torch.Tensor, chosen: Calibration) -> dict[str, Quantum]:
    """A `Quantum` for every node but the input: percentile of the size of its channel's values (Rueckauer et al. 2017).

    A threshold is the largest value a neuron of rate coding can express, one spike a step; a robust percentile clips few
    activations and leaves the others a finer resolution. A channel that is silent on the data takes its layer's threshold.
    For what may become a relay, linear nodes and the input, it is a fine power of two.
    """
    sampled = _sampled(graph, images)
    consumers = graph.consumers()
    return {node.name: Quantum(fine(sampled[node.name]).max(axis=0), -np.inf, np.inf, BURST, 0.0) if node.linear or node.shown
            else _quantum(node, sampled[node.name], channel_shape(graph, node, consumers), chosen)
            for node in graph}  # fmt: skip


def _sampled(graph: Graph, images: torch.Tensor) -> Mapping[str, np.ndarray]:
    """The values (n, *shape) of all nodes; raises `DescriptionError` for values that are not finite."""
    with torch.no_grad():
        batches = [evaluate(graph, images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
    values = {name: torch.cat([batch[name] for batch in batches]).numpy() for name in graph.nodes}
    for node in graph:
        if not np.isfinite(values[node.name]).all():
            raise DescriptionError(f"calibration: {node.where or node.name} gives nan or infinity on the images")
    return values


def fine(values: np.ndarray) -> np.ndarray:
    """What the spikes of a relay of such values are worth: a fine power of two, the same for all, of the values' shape."""
    largest = float(np.abs(values).max(initial=0.0))
    return np.full(values.shape, 2.0 ** np.ceil(np.log2(largest * FINE)) if largest > 0.0 else 1.0)


def _quantum(node: Node, values: np.ndarray, shape: Shape, chosen: Calibration) -> Quantum:
    channels = np.abs(np.moveaxis(values.reshape(len(values), shape[0], -1), 1, 0).reshape(shape[0], -1))
    full = _thresholds(node, channels, chosen)
    clipped = float(np.mean(channels > full[:, None] * (1.0 + 1e-9)))
    per_value = np.broadcast_to(full[:, None], (shape[0], node.size // shape[0])).reshape(node.shape)
    if chosen.coding == RATE:
        return Quantum(per_value.copy(), -np.inf, np.inf, 1, clipped)
    levels = _levels(node, chosen)
    return Quantum(per_value / levels, 0.0 if values.min() >= 0.0 else -levels, levels, chosen.burst, clipped)


def _levels(node: Node, chosen: Calibration) -> float:
    """Quanta up to the threshold; quantised activations bring their own number."""
    own = node.operator.parameters if isinstance(node.operator, Pointwise) and node.operator.function == "qcfs" else {}
    return float(own.get("levels", chosen.levels))


def _thresholds(node: Node, channels: np.ndarray, chosen: Calibration) -> np.ndarray:
    """The threshold of each channel, from its activations' sizes (channels, samples)."""
    given = node.operator.parameters if isinstance(node.operator, Pointwise) else {}
    if "threshold" in given:
        return np.broadcast_to(np.asarray(given["threshold"], np.float64).reshape(-1), len(channels)).copy()
    percentile = 100.0 if _in_group(node) else chosen.percentile
    of_layer = _percentile(channels.reshape(-1), percentile) or 1.0
    found = np.array([_percentile(channel, percentile) or of_layer for channel in channels])
    if chosen.method == "mse" and not _in_group(node):
        found = np.array([_least_error(channel, chosen.steps) or of_layer for channel in channels])
    ceiling = np.asarray(given.get("high", np.inf), np.float64)
    return np.minimum(found, ceiling) if ceiling.ndim == 0 and ceiling > 0.0 else found


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
