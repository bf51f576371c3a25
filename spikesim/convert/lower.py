"""Lowering: a calibrated graph as a network of spiking neurons.

Values stay in the units of the original network: a spike of size 1 is worth the threshold of its neuron. Each non-linear
node becomes a population. ReLU in rate coding is an integrate-and-fire neuron that starts half-way to the threshold,
which halves the rounding error (Bu et al. 2022), and keeps what exceeds it (soft reset, Rueckauer et al. 2017); the others
are neurons that send signed spikes (`spikesim.neurons.SigmaDelta`). Linear nodes become projections. Where two of them
follow each other a relay stands between: it passes on the sum of the spikes it gets, at once, as one graded spike.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from spikesim.convert.calibrate import BURST, CURRENT, LATENCY, POISSON, RATE, Quantum, rectifies
from spikesim.convert.graph import READ_OUT, Graph, Node, channel_shape, node_value, reached
from spikesim.convert.operators import Convolution, Maximum, Operator, Pointwise, Product, Reshape, Shape, Sum
from spikesim.convert.placement import Place, channels_last, fits, identity, rule_of, stored
from spikesim.network import Network
from spikesim.neurons import IF, FirstSpike, Neuron, SigmaDelta
from spikesim.neurons import Maximum as MaximumNeuron
from spikesim.neurons import Product as ProductNeuron
from spikesim.stimulus import DirectCurrent, Poisson
from spikesim.synapses import Delta

RELAYED = "relayed"  # the receptor for spikes of relays


@dataclass(frozen=True)
class Lowered:
    """A network, and what its populations stand for.

    places: by name of the node; relays: of linear nodes, by name of the population; shown: by name of a population that gets
    a current from the image, the node whose value this current is.
    """

    network: Network = field(default_factory=Network)
    places: dict[str, Place] = field(default_factory=dict)
    relays: dict[str, Place] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)

    @property
    def read_out(self) -> Place:
        return self.places[READ_OUT]

    def place(self, population: str) -> Place:
        return self.relays[population] if population in self.relays else self.places[population]


def lower(graph: Graph, quanta: Mapping[str, Quantum], *, coding: str, input: str = CURRENT) -> Lowered:
    """The network of a graph: populations are named after the nodes; one step is 1 ms, connections have no delay.

    input: how the image enters, "current", "poisson" or "latency"; the latter two need a population for it.
    """
    making = _Lowering(graph, quanta, coding, input)
    if input != CURRENT:
        making.encoder(graph.input, input)
    for node in graph:
        if not node.linear and not node.shown:
            making.population(node)
    making.read_out(graph.nodes[graph.output])
    return making.made


def fires_up_only(node: Node, quantum: Quantum) -> bool:
    """Whether a rectifier with at most one spike a step: an integrate-and-fire neuron has the floor and the ceiling by itself."""
    return rectifies(node.operator) and quantum.burst == 1


def analog_part(graph: Graph, images: np.ndarray | torch.Tensor, *, wanted: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """What each node's value (n, *shape) is while no neuron fires: the biases and what the image contributes.

    wanted: only these nodes, and what they take.
    """
    needed = set(graph.nodes if wanted is None else wanted)
    for node in reversed(list(graph)):
        if node.name in needed and node.linear:
            needed.update(node.inputs)
    values: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        shown = torch.as_tensor(np.array(images) if isinstance(images, np.ndarray) else images, dtype=torch.float64)
        for node in (node for node in graph if node.name in needed):
            if node.linear:
                values[node.name] = node_value(node, [values[name] for name in node.inputs])
            else:
                values[node.name] = shown if node.shown else torch.zeros(len(shown), *node.shape, dtype=torch.float64)
    return {name: value.numpy() for name, value in values.items()}


class _Lowering:
    """The network while it is made."""

    def __init__(self, graph: Graph, quanta: Mapping[str, Quantum], coding: str, input: str) -> None:
        self.graph, self.quanta, self.coding, self.averaged = graph, quanta, coding, coding == RATE
        self.made = Lowered()
        self.consumers = graph.consumers()
        zero = np.zeros((1, *graph.input.shape))
        self.constants = {name: values[0].reshape(-1) for name, values in analog_part(graph, zero).items()}
        self.from_image, self.from_spikes = reached(graph, spiking_input=input != CURRENT)

    def encoder(self, node: Node, input: str) -> None:
        """Add the population whose spikes are the image."""
        shape, quantum = channel_shape(self.graph, node, self.consumers), self.quanta[node.name]
        model = Poisson(rate=0.0) if input == POISSON else FirstSpike(quantum=float(quantum.worth.flat[0]), window=quantum.burst)
        population = self.made.network.population(node.name, stored(shape), model)
        if input == LATENCY:
            self.made.network.stimulate(population, DirectCurrent(np.zeros(node.size)))
        self.made.shown[node.name] = node.name
        self.made.places[node.name] = Place(population, shape, quantum.worth.reshape(-1)[channels_last(shape)])
        self.made.network.record(population, "counts")

    def population(self, node: Node) -> None:
        """Add the population of a non-linear node and what feeds it."""
        name, shape = node.inputs[0], channel_shape(self.graph, node, self.consumers)
        if isinstance(node.operator, Pointwise):
            place = self._fed(node.name, name, shape, self._unary(node, shape), self.quanta[node.name].worth, current=name,
                              start=_of_neurons(self.quanta[node.name].start, node.shape, shape))  # fmt: skip
        else:
            model: Neuron = MULTIPLE[type(node.operator)](len(node.inputs), self._sends(node, shape))
            place = self._add(node.name, shape, model, self.quanta[node.name].worth)
            for read, receptor in zip(node.inputs, model.receptors, strict=True):
                source = self._whole(read)
                self.made.network.project(source.population, place.population, identity(source, place, 1.0), delay=0.0, receptor=receptor)
        self.made.places[node.name] = place
        self.made.network.record(place.population, "counts")

    def read_out(self, node: Node) -> None:
        """Add a population that never fires and sums the output."""
        shape = channel_shape(self.graph, node, self.consumers)
        current = node.name if node.linear or self.from_image[node.name] else None
        place = self._fed(READ_OUT, node.name, shape, IF(v_threshold=np.inf), np.ones(node.shape), current=current)
        self.made.places[READ_OUT] = place
        self.made.network.record(place.population, "v")

    def _unary(self, node: Node, shape: Shape) -> Neuron:
        assert isinstance(node.operator, Pointwise)
        sends = self._sends(node, shape)
        if self.averaged and fires_up_only(node, self.quanta[node.name]):
            return IF(v_threshold=sends["quantum"])
        function = "relu" if node.operator.function == "qcfs" else node.operator.function
        given = {} if node.operator.function == "qcfs" else node.operator.parameters
        parameters = {key: _of_neurons(value, node.shape, shape) for key, value in given.items()}
        return SigmaDelta(function=function, parameters=parameters, **sends)

    def _sends(self, node: Node, shape: Shape) -> dict[str, Any]:
        quantum = self.quanta[node.name]
        return {"quantum": _of_neurons(quantum.worth, node.shape, shape), "least": quantum.least, "most": quantum.most,
                "burst": quantum.burst, "averaged": self.averaged}  # fmt: skip

    def _add(self, name: str, shape: Shape, model: Neuron, worth: np.ndarray, *, current: str | None = None,
             start: Any = 0.0) -> Place:  # fmt: skip
        """Add a population; it gets the analog part of node ``current``, each step, or once where spikes are changes.

        ``start`` is added to its first potential.
        """
        order = channels_last(shape)
        constant = np.zeros(len(order)) if current is None else self.constants[current][order]
        shown = current is not None and self.from_image[current]
        initial: dict[str, Any] = {"u": start} if np.any(start) else {}
        if isinstance(model, IF):
            initial = {"v": model.v_threshold / 2.0 + start} if np.all(np.isfinite(model.v_threshold)) else {}
        if np.any(constant) and not shown and self.averaged:
            model = type(model)(**{**model.values(), "i_e": constant})
        elif np.any(constant) and not shown:
            initial = {"v" if isinstance(model, IF) else "u": constant}
        population = self.made.network.population(name, stored(shape), model, initial=initial)
        if shown and current is not None:
            self.made.network.stimulate(population, DirectCurrent(np.zeros(len(order)), **({} if self.averaged else {"stop": 1.0})))
            self.made.shown[name] = current
        return Place(population, shape, worth.reshape(-1)[order])

    def _fed(self, name: str, value: str, shape: Shape, model: Neuron, worth: np.ndarray, *, current: str | None = None,
             start: Any = 0.0) -> Place:  # fmt: skip
        """Add a population and project the spikes that make up the value of node ``value`` onto it.

        The spikes of relays are worth far less than those of neurons; where both arrive each have a receptor, and so a
        quantum of their weights, of their own.
        """
        feeds = self._feeds(value, shape)
        relayed = [source.population.name in self.made.relays for source, _, _ in feeds]
        mixed = any(relayed) and not all(relayed)
        model = type(model)(**{**model.values(), "receptors": {"input": Delta(), RELAYED: Delta()}}) if mixed else model
        target = self._add(name, shape, model, worth, current=current, start=start)
        for (source, operator, coefficient), fine in zip(feeds, relayed, strict=True):
            rule = rule_of(operator, source, target, coefficient) if operator else identity(source, target, coefficient)
            receptor = (RELAYED if fine else "input") if mixed else None
            self.made.network.project(source.population, target.population, rule, delay=0.0, receptor=receptor)
        return target

    def _feeds(self, name: str, shape: Shape, coefficient: float = 1.0) -> list[tuple[Place, Operator | None, float]]:
        """The spikes that make up a node's value, for a population of ``shape``: sources, and what lies between."""
        node = self.graph.nodes[name]
        if not self.from_spikes[name]:
            return []
        if isinstance(node.operator, Sum):
            terms = zip(node.inputs, node.operator.coefficients, strict=True)
            return [feed for read, factor in terms for feed in self._feeds(read, shape, coefficient * factor)]
        if isinstance(node.operator, Reshape):
            return self._feeds(node.inputs[0], shape, coefficient)
        if not node.linear or (isinstance(node.operator, Convolution) and shape != node.shape):
            return [(self._spikes(name), None, coefficient)]
        return [(self._source(node), node.operator, coefficient)]

    def _source(self, node: Node) -> Place:
        """What a linear node reads, stored so that its operator can."""
        read = self.graph.nodes[node.inputs[0]]
        source = self._spikes(read.name)
        return source if fits(node.operator, source, read.shape) else self._relay(read, f"{read.name}.relay", read.shape)

    def _spikes(self, name: str) -> Place:
        """The population whose spikes make up a node's value."""
        node = self.graph.nodes[name]
        if not node.linear:
            return self.made.places[name]
        if isinstance(node.operator, Reshape):
            return self._spikes(node.inputs[0])
        return self._relay(node, name, channel_shape(self.graph, node, self.consumers))

    def _whole(self, name: str) -> Place:
        """As `_spikes`, for neurons that take no current: an analog part enters by a relay."""
        node = self.graph.nodes[name]
        if self.from_image[name] or (node.linear and np.any(self.constants[name])):
            return self._relay(node, f"{name}.whole", channel_shape(self.graph, node, self.consumers), current=name)
        return self._spikes(name)

    def _relay(self, node: Node, name: str, shape: Shape, *, current: str | None = None) -> Place:
        """The relay of a node under a shape, made when it is first asked for."""
        if name not in self.made.relays:
            worth = self.quanta[node.name].relay
            model = SigmaDelta(function="identity", quantum=worth, burst=BURST[self.coding])
            place = self._fed(name, node.name, shape, model, np.full(node.shape, worth), current=current)
            self.made.relays[name] = place
            self.made.network.record(place.population, "counts")
        return self.made.relays[name]


def _of_neurons(value: Any, of: Shape, shape: Shape) -> Any:
    """A number, or an array that can be broadcast to ``of``, in the order of the neurons of a population of ``shape``."""
    if np.ndim(value) == 0:
        return float(value)
    return np.broadcast_to(np.asarray(value), of).reshape(-1)[channels_last(shape)]


MULTIPLE = {Product: lambda inputs, sends: ProductNeuron(**sends), Maximum: lambda inputs, sends: MaximumNeuron(inputs=inputs, **sends)}
