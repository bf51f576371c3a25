"""The dense stepper: the spiking network as a torch module, with gradients.

It computes every neuron in every step and is the second opinion on the engines: with weights and thresholds that are
powers of two it gives the same spikes; otherwise sums differ by rounding (relative 1e-15, which matters only where a
potential lies that near to its threshold) and by what relays round (half of `spikesim.convert.calibrate.FINE`). Here relays pass
everything on at once; in signed coding those of the engines take some steps for large bursts, and settle to the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from spikesim.convert.calibrate import RATE, Quantum
from spikesim.convert.graph import Graph, Node, evaluate, node_value, reached
from spikesim.convert.lower import fires_up_only
from spikesim.convert.operators import Convolution, Full, Maximum, Operator, Pointwise, Product, compute

State = dict[str, tuple[torch.Tensor, ...]]


class Stepper(nn.Module):
    """A converted network; weights of convolutions and full matrices, and thresholds, are float64 parameters.

    Calling it with images (n, *input shape) and a number of steps gives the output after each step (steps, n, *shape).
    Spikes have the gradient of a triangle around the threshold (Bellec et al. 2018), rounding that of the identity.
    """

    def __init__(self, graph: Graph, quanta: Mapping[str, Quantum], *, coding: str) -> None:
        super().__init__()
        self.graph, self.quanta, self.coding, self.averaged = graph, quanta, coding, coding == RATE
        self.spikes = reached(graph)[1]
        weighted = [node for node in graph if isinstance(node.operator, Convolution | Full)]
        self.weights = nn.ParameterList(nn.Parameter(torch.tensor(node.operator.weights)) for node in weighted)  # type: ignore[union-attr]
        neurons = [node.name for node in graph if self._fires(node.name)]
        self.thresholds = nn.ParameterList(nn.Parameter(torch.tensor(quanta[name].worth)) for name in neurons)
        self.place = {node.name: at for at, node in enumerate(weighted)} | {name: at for at, name in enumerate(neurons)}

    def forward(self, images: torch.Tensor, steps: int) -> torch.Tensor:
        return torch.stack([outputs for outputs, _ in self.walk(images, steps)])

    def walk(self, images: torch.Tensor, steps: int):
        """Yield after each step the output (n, *shape) and, by node, the sizes of the spikes (n, *shape) in this step."""
        graph = self._with_parameters()
        analog = evaluate(graph, images, neuron=lambda node, value: torch.zeros_like(value))
        state: State = {}
        total: Any = 0.0
        for step in range(1, steps + 1):
            given = analog if self.averaged or step == 1 else None
            values, sizes = self._step(graph, given, state, step, len(images))
            total = total + values[graph.output] + (given[graph.output] if given and not self._fires(graph.output) else 0.0)
            yield total / step if self.averaged else total, sizes

    def _step(self, graph: Graph, analog: Any, state: State, step: int, batch: int) -> tuple[dict[str, Any], dict[str, Any]]:
        values: dict[str, torch.Tensor] = {}
        sizes: dict[str, torch.Tensor] = {}
        for node in graph:
            if not self.spikes[node.name]:
                values[node.name] = torch.zeros(batch, *node.shape, dtype=torch.float64)
                continue
            read = [values[name] for name in node.inputs]
            if node.linear:
                values[node.name] = node_value(replace(node, bias=None), read)
                continue
            if analog is not None:
                read = [x + analog[name] if not self._fires(name) else x
                        for x, name in zip(read, node.inputs, strict=True)]  # fmt: skip
            threshold = self.thresholds[self.place[node.name]]
            sizes[node.name], state[node.name] = self._fire(node, read, state.get(node.name), threshold, step)
            values[node.name] = sizes[node.name] * threshold
        return values, sizes

    def fire(self, node: Node, given: list[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Yield the sizes of the spikes of one population in each step, for its inputs (steps, n, *shape)."""
        state: Any = None
        threshold = self.thresholds[self.place[node.name]]
        for step, read in enumerate(zip(*given, strict=True), start=1):
            size, state = self._fire(node, list(read), state, threshold, step)
            yield size

    def _fire(self, node: Node, read: list[torch.Tensor], state: Any, threshold: torch.Tensor,
              step: int) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:  # fmt: skip
        """The sizes of a population's spikes and its new state."""
        start = torch.as_tensor(self.quanta[node.name].start)
        if self.averaged and fires_up_only(node, self.quanta[node.name]):
            v = (threshold / 2.0 + start if state is None else state[0]) + read[0]
            spike = _Spike.apply(v / threshold - 1.0)
            return spike, (v - threshold * spike,)
        sums = [start + x if state is None else before + x for before, x in zip(read if state is None else state[:-1], read, strict=True)]
        sent = torch.zeros_like(sums[0]) if state is None else state[-1]
        scaled = _value(node, sums, float(step) if self.averaged else 1.0) / threshold
        quantum = self.quanta[node.name]
        wanted = torch.where(scaled.isfinite(), _Round.apply(scaled).clamp(quantum.least, quantum.most), sent)
        size = (wanted - sent).clamp(-quantum.burst, quantum.burst)
        return size, (*sums, sent + size)

    def _fires(self, name: str) -> bool:
        return not (self.graph.nodes[name].linear or self.graph.nodes[name].shown)

    def _with_parameters(self) -> Graph:
        nodes = {node.name: replace(node, operator=replace(node.operator, weights=self.weights[self.place[node.name]]))
                 if isinstance(node.operator, Convolution | Full) else node for node in self.graph}  # fmt: skip
        return replace(self.graph, nodes=nodes)


def _value(node: Node, sums: list[torch.Tensor], time: float) -> torch.Tensor:
    """What a neuron has to send after ``time`` steps, computed in the order in which `spikesim.neurons` does."""
    if isinstance(node.operator, Product):
        return sums[0] * (sums[1] / time)
    if isinstance(node.operator, Maximum):
        return compute(node.operator, sums)
    return time * compute(plain_operator(node), [u / time for u in sums])


def plain_operator(node: Node) -> Operator:
    """The node's operator; a quantised rectifier is a rectifier, for the neuron quantises."""
    operator = node.operator
    return Pointwise("relu") if isinstance(operator, Pointwise) and operator.function == "qcfs" else operator


class _Spike(torch.autograd.Function):
    """1 where x >= 0, else 0."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        return (x >= 0.0).to(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return gradient * torch.clamp(1.0 - x.abs(), min=0.0)


class _Round(torch.autograd.Function):
    """floor(x + 1/2)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return gradient
