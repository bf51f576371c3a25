"""Where the error of a converted network comes from: clipping, quantisation and unevenness.

Three networks lie between the module and the spikes, each with one imperfection more:

    a  the module's own values
    c  clipped: every activation is cut to what its neuron can express,
           c = clip(f(input), least worth, most worth)
    q  quantised: every activation is put on the neuron's staircase as well,
           q = worth / r  clip(floor(f(input) r / worth + 1/2), r least, r most)
    x  the spiking network: the value that the spikes of ``steps`` steps stand for

Each takes its inputs from its own earlier layers. In rate coding worth is the threshold, r = steps, most = 1 and least = 0
for rectifiers, -1 for neurons with spikes of both signs; in signed coding worth is the quantum, r = 1 and least and most
are the bounds of the count. The parts of a layer's error are

    clipping = c - a,    quantisation = q - c,    unevenness = x - q,    total = x - a,

each over all values and images, as L2 norm relative to that of a. As vectors they add up to the total. Their norms do not:
the total is at most the sum of the parts, and smaller where parts cancel.

So clipping and quantisation include what is inherited from earlier layers, and unevenness is all that the order of the
spikes does: it is nil once signed coding has settled. (Clipping, quantisation and unevenness: Bu et al. 2022, ICLR, who
compare a layer of the module with one of neurons that get the same input.)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from spikesim.convert.calibrate import RATE, Quantum
from spikesim.convert.graph import READ_OUT, Graph, Node, Values, evaluate
from spikesim.convert.lower import fires_up_only
from spikesim.convert.stepper import Stepper, plain_operator

AT_ONCE = 16  # images that are stepped at once: all values of all neurons are held
PARTS = ("clipping", "quantisation", "unevenness", "total")


@dataclass(frozen=True)
class ErrorSplit:
    """L2 norms of the parts of a layer's error, relative to that of the module's values (absolute where these are all zero)."""

    clipping: float
    quantisation: float
    unevenness: float
    total: float


def error_split(graph: Graph, quanta: Mapping[str, Quantum], images: np.ndarray, *, coding: str, steps: int) -> dict[str, ErrorSplit]:
    """The error of every non-linear node, and of the output by the name "read-out" (before a softmax), on images (n, *input shape)."""
    stepper = Stepper(graph, quanta, coding=coding)
    squares: dict[str, np.ndarray] = {}
    with torch.no_grad():
        for at in range(0, len(images), AT_ONCE):
            some = torch.tensor(images[at : at + AT_ONCE], dtype=torch.float64)
            for name, found in _squares(graph, quanta, stepper, some, steps):
                squares[name] = squares.get(name, 0.0) + found
    return {name: _split(found) for name, found in squares.items()}


def _squares(graph: Graph, quanta: Mapping[str, Quantum], stepper: Stepper, images: torch.Tensor,
             steps: int) -> Iterator[tuple[str, np.ndarray]]:  # fmt: skip
    """For each layer the sums of squares of its `PARTS` and of the module's values, float64 (5,)."""
    module = evaluate(graph, images)
    ideal = evaluate(graph, images, neuron=lambda node, value: clipped(node, value, quanta[node.name], stepper.averaged))
    even = stairs(graph, quanta, images, coding=stepper.coding, steps=steps)
    spiking = decoded(stepper, images, steps)
    for name, x in spiking.items():
        a, c, q = (values[graph.output if name == READ_OUT else name] for values in (module, ideal, even))
        yield name, np.array([float(part.square().sum()) for part in (c - a, q - c, x - q, x - a, a)])


def _split(squares: np.ndarray) -> ErrorSplit:
    *parts, size = np.sqrt(squares)
    return ErrorSplit(**dict(zip(PARTS, (float(part / (size or 1.0)) for part in parts), strict=True)))


def bounds(node: Node, quantum: Quantum, averaged: bool) -> tuple[float, float]:
    """The least and the greatest value that a neuron can express, in units of a spike's worth."""
    if not averaged:
        return quantum.least, quantum.most
    return 0.0 if fires_up_only(node, quantum) else -float(quantum.burst), float(quantum.burst)


def clipped(node: Node, value: torch.Tensor, quantum: Quantum, averaged: bool) -> torch.Tensor:
    """A value cut to what the neurons of a node can express."""
    worth = torch.from_numpy(quantum.worth)
    least, most = bounds(node, quantum, averaged)
    return torch.maximum(torch.minimum(value, most * worth), least * worth)


def stairs(graph: Graph, quanta: Mapping[str, Quantum], images: torch.Tensor, *, coding: str, steps: int) -> Values:
    """The values of the network in which every activation lies on the staircase of its neuron; what is not finite is not sent.

    In signed coding ``steps`` does not matter: this is where the network settles.
    """
    averaged = coding == RATE
    stairs = steps if averaged else 1

    def rounded(node: Node, value: torch.Tensor) -> torch.Tensor:
        quantum = quanta[node.name]
        worth = torch.from_numpy(quantum.worth)
        least, most = (stairs * bound for bound in bounds(node, quantum, averaged))
        count = torch.floor(value * stairs / worth + 0.5)
        return torch.where(count.isfinite(), count.clamp(least, most), 0.0) * worth / stairs

    nodes = {node.name: node if node.linear or node.shown else replace(node, operator=plain_operator(node)) for node in graph}
    return evaluate(replace(graph, nodes=nodes), images, neuron=rounded)


def decoded(stepper: Stepper, images: torch.Tensor, steps: int) -> Values:
    """What the spikes of the first ``steps`` steps stand for: by non-linear node, and the output as "read-out"."""
    sums: Values = {}
    output = images
    for output, sizes in stepper.walk(images, steps):  # noqa: B007  # the last one is wanted
        for name, size in sizes.items():
            sums[name] = sums[name] + size if name in sums else size.clone()
    time = steps if stepper.averaged else 1
    return {name: sent * torch.from_numpy(stepper.quanta[name].worth) / time for name, sent in sums.items()} | {READ_OUT: output}
