"""The report of a conversion: what each operator of the module became."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spikesim.convert.calibrate import Calibration, Quantum
from spikesim.convert.graph import READ_OUT, Graph, Node, reached
from spikesim.convert.lower import Lowered
from spikesim.convert.operators import Shape


@dataclass(frozen=True)
class LayerReport:
    """One population.

    population: its name; where: the operator in the module; neuron: its model; shape: of the value; macs: the module's
    multiply-accumulates for one input in the linear operators that feed it and no earlier layer; worth: (least, largest)
    value of a spike, None for the read-out; clipped: the share of the calibration's activations beyond what its neurons can
    express.
    """

    population: str
    where: str
    neuron: str
    shape: Shape
    macs: int
    worth: tuple[float, float] | None
    clipped: float | None


@dataclass(frozen=True)
class ConversionReport:
    """All populations, what stayed analog, and the settings.

    relays: populations that pass sums of spikes on, with the operators whose value they carry; analog: operators that the
    caller allowed to stay analog; outside: what is applied to the read-out; input_macs: multiply-accumulates that turn an
    image into currents, once.
    """

    layers: tuple[LayerReport, ...]
    relays: tuple[tuple[str, str], ...]
    analog: tuple[str, ...]
    outside: str | None
    input_macs: int
    settings: Calibration

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the module for one input."""
        return sum(layer.macs for layer in self.layers)

    def data(self) -> dict[str, Any]:
        """The report as plain data, ready for JSON."""
        return asdict(self) | {"macs": self.macs}

    def __str__(self) -> str:
        width = max(len("population"), *(len(layer.population) for layer in self.layers)) + 2
        lines = [f"{'population':<{width}}{'neuron':<24}{'shape':<16}{'MACs':>12}  {'a spike is worth':<22}clipped"]
        for layer in self.layers:
            worth = "" if layer.worth is None else f"{layer.worth[0]:.3g} .. {layer.worth[1]:.3g}"
            clipped = "" if layer.clipped is None else f"{100 * layer.clipped:.2f} %"
            lines.append(
                f"{layer.population:<{width}}{layer.neuron:<24}{layer.shape!s:<16}{layer.macs:>12,}  {worth:<22}{clipped}".rstrip()
            )
        lines += [f"relay {name}: {where}" for name, where in self.relays]
        lines += [f"analog by request: {label}" for label in self.analog]
        lines += [f"applied to the read-out: {self.outside}"] if self.outside else []
        return "\n".join(lines)


def report_of(graph: Graph, quanta: Mapping[str, Quantum], lowered: Lowered, settings: Calibration) -> ConversionReport:
    """The report of a graph and the network that was made of it."""
    counted: set[str] = set()
    layers = [_layer(node, graph, quanta[node.name], lowered, counted) for node in graph if not node.linear and not node.shown]
    output = graph.nodes[graph.output]
    fed = _feeding([output.name], graph, counted)
    layers.append(LayerReport(READ_OUT, output.where, "sums, never fires", output.shape, fed, None, None))
    relays = tuple((name, graph.nodes[relayed(name, graph)].where) for name in lowered.relays)
    from_image = reached(graph)[0]
    input_macs = sum(node.macs for node in graph if node.macs and from_image[node.inputs[0]])
    return ConversionReport(tuple(layers), relays, graph.analog, graph.outside, input_macs, settings)


def _layer(node: Node, graph: Graph, quantum: Quantum, lowered: Lowered, counted: set[str]) -> LayerReport:
    place = lowered.places[node.name]
    function = getattr(place.population.model, "function", None)
    neuron = type(place.population.model).__name__ + (f" {function}" if function else "")
    worth = float(quantum.worth.min()), float(quantum.worth.max())
    return LayerReport(node.name, node.where, neuron, node.shape, _feeding(node.inputs, graph, counted), worth, quantum.clipped)


def _feeding(names: Sequence[str], graph: Graph, counted: set[str]) -> int:
    """Multiply-accumulates of the linear operators from the last neurons up to some nodes; each is counted once."""
    total, ahead = 0, list(names)
    while ahead:
        node = graph.nodes[ahead.pop()]
        if node.linear and node.name not in counted:
            counted.add(node.name)
            total += node.macs
            ahead.extend(node.inputs)
    return total


def relayed(name: str, graph: Graph) -> str:
    """The node whose value a relay carries."""
    return name if name in graph.nodes else name.rpartition(".")[0]
