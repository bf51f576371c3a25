"""Tuning: biases and first potentials that make a given number of steps come out right on average.

With few steps every layer spikes a little too little or too late, and the next one inherits it. So, layer by layer on the
calibration images, each channel gets a bias that makes its mean that of the module, and each neuron a first potential that
does the same for it (Li et al. 2021, A free lunch from ANN: towards efficient, accurate spiking neural networks calibration).
"""

from collections.abc import Mapping
from dataclasses import replace

import torch

from spikesim.convert.calibrate import RATE, Quantum
from spikesim.convert.graph import Graph, Node, evaluate, node_value, reached
from spikesim.convert.operators import Pointwise, Reshape
from spikesim.convert.stepper import Stepper

ROUNDS = 3  # a rectifier passes only a part of a change of its bias on, so it takes a few
IMAGES = 64  # whose spikes of all steps are held at once


def tune(graph: Graph, quanta: Mapping[str, Quantum], images: torch.Tensor, *, steps: int) -> tuple[Graph, dict[str, Quantum]]:
    """The graph with tuned biases, and the quanta with tuned first potentials, for so many steps of rate coding."""
    with torch.no_grad():
        return _Tuning(graph, quanta, images[:IMAGES], steps).run()


class _Tuning:
    """All steps of one node after the other; values are (steps x images, *shape)."""

    def __init__(self, graph: Graph, quanta: Mapping[str, Quantum], images: torch.Tensor, steps: int) -> None:
        self.graph, self.quanta, self.steps = graph, dict(quanta), steps
        self.module = evaluate(graph, images)
        self.analog = evaluate(graph, images, neuron=lambda node, value: torch.zeros_like(value))
        self.spikes = reached(graph)[1]
        self.batch = len(images)

    def run(self) -> tuple[Graph, dict[str, Quantum]]:
        nodes: dict[str, Node] = {}
        values: dict[str, torch.Tensor] = {}
        left = {name: len(readers) for name, readers in self.graph.consumers().items()}
        for node in self.graph:
            nodes[node.name] = node
            if not self.spikes[node.name]:
                continue
            read = [values[name] if self.spikes[name] else torch.zeros(self.steps * self.batch, *self.graph.nodes[name].shape).double()
                    for name in node.inputs]  # fmt: skip
            if node.linear:
                values[node.name] = node_value(replace(node, bias=None), read)
            else:
                values[node.name] = self._neurons(node, read, nodes)
            for name in set(node.inputs):
                left[name] -= 1
                if not left[name]:
                    values.pop(name, None)
        return replace(self.graph, nodes=nodes), self.quanta

    def _neurons(self, node: Node, read: list[torch.Tensor], nodes: dict[str, Node]) -> torch.Tensor:
        """The spikes of a population, after it has been tuned; its bias is put down as a node before it."""
        given = [x.reshape(self.steps, self.batch, *x.shape[1:]) for x in read]
        given = [x + self.analog[name] if self.graph.nodes[name].linear or self.graph.nodes[name].shown else x
                 for x, name in zip(given, node.inputs, strict=True)]  # fmt: skip
        if not isinstance(node.operator, Pointwise):
            return self._run(node, given)
        bias = torch.zeros(node.shape, dtype=torch.float64)
        for _ in range(ROUNDS):
            missing = self._missing(node, [given[0] + bias])
            bias += missing.mean((0, *range(2, missing.ndim))).reshape(-1, *(1,) * (len(node.shape) - 1))
        missing = self._missing(node, [given[0] + bias]).mean(0)
        self.quanta[node.name] = replace(self.quanta[node.name], start=self.steps * missing.numpy())
        before = self.graph.nodes[node.inputs[0]]
        shift = Node(f"{node.name}.tuned", Reshape(), (before.name,), before.shape, bias.reshape(before.shape).numpy(), node.where)
        nodes.pop(node.name)
        nodes |= {shift.name: shift, node.name: replace(node, inputs=(shift.name,))}
        return self._run(node, [given[0] + bias])

    def _missing(self, node: Node, given: list[torch.Tensor]) -> torch.Tensor:
        """What the mean of the steps lacks to the module's value (images, *shape)."""
        return self.module[node.name] - self._run(node, given).reshape(self.steps, self.batch, *node.shape).mean(0)

    def _run(self, node: Node, given: list[torch.Tensor]) -> torch.Tensor:
        stepper = Stepper(replace(self.graph, nodes={node.name: node}, output=node.name), self.quanta, coding=RATE)
        return torch.cat([size * torch.from_numpy(self.quanta[node.name].worth) for size in stepper.fire(node, given)])
