"""Mapping: an integer network onto the cores of Loihi chips, checked against every limit, with a report."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spikesim.connectivity.structured import Conv, Pool
from spikesim.errors import CapacityError, DescriptionError, KindError, UnsupportedError, unknown_name
from spikesim.hardware.loihi.build import build, formats_of
from spikesim.hardware.loihi.circuit import Circuit, circuit_of
from spikesim.hardware.loihi.fired import Fired
from spikesim.hardware.loihi.image import ChipImage, Probed
from spikesim.hardware.loihi.limits import BLOCK, HEADER, STATE_BITS, WORD, Chip, chip_named
from spikesim.hardware.loihi.payload import check_sizes
from spikesim.hardware.loihi.report import MappingReport, core_use, traffic_of
from spikesim.hardware.partition import METHODS, Hypergraph, Room, messages, partition
from spikesim.hardware.place import place, positions, travel
from spikesim.network import COUNTS, RATE, SPIKES, Network

UNBOUND = 2**40  # where no limit was published
ATTEMPTS = 14
FIRST = 64.0  # what the memory of a core may hold, in cores' worth of lists that are not shared


def map_network(network: Network, *, chip: str = "loihi1", seed: int = 0, rates: Any = None, method: str = "best", chips: int | None = None,
                cores: Any = None, compare: bool = True, convolutions_share: bool = True) -> ChipImage:  # fmt: skip
    """Map an integer network (`LoihiLIF`, `SpikeTrains`, `Poisson`; see `spikesim.hardware.quantize`) onto a chip.

    chip: "loihi1" or "loihi2". seed: of random connections and of the search; the same seed gives the same image. rates: spikes
    per step by population, numbers or arrays (1 for what is not given); the report counts in them. method: see
    `spikesim.hardware.partition`. chips: how many there are; as many as needed by default. cores: int64 (neurons,), the core of
    each neuron that is no input, in place of a partition. compare: report on the naive mappings too. convolutions_share: axons
    with equal lists use one. Raises `CapacityError` where a core or the chips are overfull.
    """
    what = chip_named(chip)
    circuit = circuit_of(network, seed=seed)
    check_neurons(circuit, what)
    check_traces(circuit, what)
    check_sizes(what, circuit, Fired(circuit.train_steps, circuit.train_neurons, circuit.train_sizes))
    rate = rates_of(circuit, rates)
    graph = graph_of(circuit, rate)
    probes = probes_of(network)
    shared = convolutions_share and any(isinstance(p.rule, Conv | Pool) for p in network.projections.values())
    if cores is not None:
        core, used_method, tried = _given_cores(cores, graph), "given", {}
    else:
        core, used_method, tried = _partitioned(circuit, graph, what, method, seed, shared)
    number = int(core.max(initial=0)) + 1
    _check_chips(number, what, chips)
    of_neuron = _by_neuron(circuit, core)
    flat = positions(number, what.mesh, what.cores_per_tile, what.cores.value)
    places = positions(-(-number // what.cores.value) * what.cores.value, what.mesh, what.cores_per_tile, what.cores.value)
    traffic = traffic_of(circuit, of_neuron, rate, number)
    found = place(traffic, places, seed=seed)
    order = np.argsort(found)  # cores are numbered along the chips
    rank = np.argsort(order)
    of_neuron = np.where(of_neuron >= 0, rank[of_neuron], -1)
    image = build(circuit, of_neuron, places[found[order]], chip, probes, share=shared)
    check_cores(image, what)
    naive = _naive(circuit, graph, what, shared, seed, tried) if compare else {}
    naive_way = travel(traffic, flat, np.arange(number))
    report = MappingReport(chip=chip, method=used_method, use=core_use(image), messages=messages(graph, core), naive=naive,
                           travel=travel(traffic, places, found), travel_unplaced=naive_way, traffic=traffic[np.ix_(order, order)],
                           position=places[found[order]], synapses=len(circuit.targets),
                           plastic=_plastic(circuit))  # fmt: skip
    return replace(image, report=report)


def _plastic(circuit: Circuit) -> tuple[tuple[str, int, str], ...]:
    """Name, synapses and rule of each projection that learns."""
    number = np.array([port.plastic for port in circuit.ports] or [-1])[circuit.port]
    return tuple((each.projection, int((number == at).sum()), repr(each.rule)) for at, each in enumerate(circuit.plastic))


def check_neurons(circuit: Circuit, chip: Chip) -> None:
    """Raise `UnsupportedError` for a parameter that the chip does not have."""
    for name, bad, limit in (
        ("refractory", circuit.cells["refractory"] > chip.refractory.value, f"at most {chip.refractory.value}"),
        ("bias_exp", circuit.cells["bias_exp"] < 0, "0 to 7"),
    ):
        if bad.any():
            at = int(np.argmax(bad))
            owner = int(np.searchsorted(circuit.starts, at, side="right")) - 1
            raise UnsupportedError(f"{chip.name}: population {circuit.names[owner]!r}: neuron {at - circuit.starts[owner]}: {name} is "
                                   f"{circuit.cells[name][at]}, the chip has {limit}")  # fmt: skip


def check_traces(circuit: Circuit, chip: Chip) -> None:
    """Raise `CapacityError` for a neuron at which synapses learn by more kinds of postsynaptic traces than a compartment has."""
    kinds = [(each.rule.y_impulse, each.rule.tau_minus) for each in circuit.plastic]
    if chip.traces is None or len(set(kinds)) <= chip.traces.value:
        return
    plastic = np.array([port.plastic for port in circuit.ports])[circuit.port]
    learns = plastic >= 0
    kind = np.array([kinds.index(each) for each in kinds])[plastic[learns]]
    neurons = np.unique(np.stack([circuit.targets[learns], kind]), axis=1)[0]
    used = np.bincount(neurons, minlength=circuit.neurons)
    if used.max() > chip.traces.value:
        vertex = int(np.cumsum(~circuit.is_input)[np.argmax(used)]) - 1
        raise CapacityError(f"{chip.name}: {name_of(circuit, vertex)} needs {used.max()} kinds of postsynaptic traces, has "
                            f"{chip.traces.value} ({chip.traces.source}); give its projections equal y_impulse and tau_minus")  # fmt: skip


def rates_of(circuit: Circuit, rates: Any) -> np.ndarray:
    """Spikes per step of each neuron, float64."""
    made = np.ones(circuit.neurons)
    if rates is None:
        return made
    if not isinstance(rates, Mapping):
        raise KindError(f"map_to: rates must map populations to spikes per step, got {rates!r}")
    for name, given in rates.items():
        if name not in circuit.names:
            raise unknown_name("population", name, circuit.names, where="map_to: rates")
        at = circuit.names.index(name)
        array = np.asarray(given, np.float64).reshape(-1)
        if len(array) not in (1, circuit.starts[at + 1] - circuit.starts[at]) or not np.all((array >= 0) & (array <= 1)):
            raise DescriptionError(f"map_to: rates[{name!r}]: expected 0 to 1 spikes a step, one number or one for each neuron")
        made[circuit.starts[at] : circuit.starts[at + 1]] = array
    return made


def graph_of(circuit: Circuit, rate: np.ndarray) -> Hypergraph:
    """The circuit as hypergraph: vertices are the neurons that are no inputs, edges all neurons that have targets."""
    vertex = np.cumsum(~circuit.is_input) - 1
    degree = np.diff(circuit.rows)
    senders = np.flatnonzero(degree)
    formats = formats_of(circuit)
    each = (formats.weight_bits + formats.delay_bits)[circuit.port]
    width = np.maximum.reduceat(each, circuit.rows[senders]) if len(senders) else np.empty(0, np.int64)
    return Hypergraph(
        starts=np.append(circuit.rows[senders], len(circuit.targets)), pins=vertex[circuit.targets],
        source=np.where(circuit.is_input[senders], -1, vertex[senders]), rate=rate[senders], width=width.astype(np.int64),
        size=1 + circuit.cells["soft"][~circuit.is_input], order=vertex[_in_space(circuit)],
    )  # fmt: skip


def _in_space(circuit: Circuit) -> np.ndarray:
    """The neurons that are no inputs, population by population, all channels of a place together."""
    made = [np.empty(0, np.int64)]
    for start, shape, is_input in zip(circuit.starts, circuit.shapes, circuit.inputs, strict=False):
        if not is_input:
            numbers = start + np.arange(int(np.prod(shape))).reshape(shape)
            made.append(np.moveaxis(numbers, 0, -1).ravel())
    return np.concatenate(made)


def room_of(chip: Chip, factor: float = 1.0) -> tuple[Room, int]:
    """The room of a core, with ``factor`` times its synaptic memory; and the bits of a target's number."""
    axons = UNBOUND if chip.input_axons is None else chip.input_axons.value
    room = Room(chip.compartments.value, axons, int(chip.synapse_bits.value * factor), WORD, BLOCK, HEADER, STATE_BITS[chip.name])
    return room, (chip.compartments.value - 1).bit_length()


def _partitioned(circuit: Circuit, graph: Hypergraph, chip: Chip, method: str, seed: int,
                 shared: bool) -> tuple[np.ndarray, str, dict[str, np.ndarray]]:  # fmt: skip
    """A core for each vertex such that the image fits, the method that found it, and what all methods found that were tried."""
    if method not in METHODS:
        raise unknown_name("method", method, METHODS, where="map_to")
    tried = ("sequential", *(("spatial",) if shared else ()), "grown") if method == "best" else (method,)
    made, failure = {}, None
    for each in tried:
        try:
            made[each] = _attempt(circuit, graph, chip, each, seed, FIRST if shared else 1.0)
        except CapacityError as error:
            failure = failure or error
    for each in sorted(made, key=lambda name: (messages(graph, made[name]), tried.index(name))):
        try:
            return _fitting(circuit, graph, chip, each, seed, shared, made[each]), each, made
        except CapacityError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _attempt(circuit: Circuit, graph: Hypergraph, chip: Chip, method: str, seed: int, factor: float) -> np.ndarray:
    """A partition by an estimate of memory, with so many times what a core has."""
    room, index_bits = room_of(chip, factor)
    wider = replace(graph, width=graph.width + index_bits)
    return partition(wider, room, seed=seed, method=method, name_of=lambda vertex: name_of(circuit, vertex))


def _fitting(circuit: Circuit, graph: Hypergraph, chip: Chip, method: str, seed: int, shared: bool, core: np.ndarray) -> np.ndarray:
    """``core``, or a partition with a stricter estimate, the first whose image fits."""
    factor = FIRST if shared else 1.0
    for _ in range(ATTEMPTS):
        number = int(core.max(initial=0)) + 1
        image = build(circuit, _by_neuron(circuit, core), np.zeros((number, 3), np.int64), chip.name, share=shared)
        try:
            check_cores(image, chip)
            return core
        except CapacityError as error:
            failure = error
        factor *= 0.6 if factor > 1.0 else 0.85
        core = _attempt(circuit, graph, chip, method, seed, factor)
    raise failure


def name_of(circuit: Circuit, vertex: int) -> str:
    """A vertex in words."""
    neuron = int(np.flatnonzero(~circuit.is_input)[vertex])
    owner = int(np.searchsorted(circuit.starts, neuron, side="right")) - 1
    return f"population {circuit.names[owner]!r}: neuron {neuron - circuit.starts[owner]}"


def _by_neuron(circuit: Circuit, core: np.ndarray) -> np.ndarray:
    made = np.full(circuit.neurons, -1, np.int64)
    made[~circuit.is_input] = core
    return made


def _given_cores(cores: Any, graph: Hypergraph) -> np.ndarray:
    array = np.asarray(cores)
    if array.shape != (graph.vertices,) or array.dtype.kind not in "iu" or array.min(initial=0) < 0:
        raise DescriptionError(f"map_to: cores: expected a whole number from 0 on for each of {graph.vertices} neurons, got {array.dtype} "
                               f"of shape {array.shape}")  # fmt: skip
    return array.astype(np.int64)


def _check_chips(number: int, chip: Chip, chips: int | None) -> None:
    most = chip.chips.value if chips is None else chips
    if number > most * chip.cores.value:
        raise CapacityError(f"{chip.name}: the network needs {number:,} cores, {most:,} chip{'s' if most > 1 else ''} have "
                            f"{most * chip.cores.value:,}; give it chips={-(-number // chip.cores.value)}")  # fmt: skip


def check_cores(image: ChipImage, chip: Chip) -> None:
    """Raise `CapacityError` naming the first core and resource that is overfull."""
    use = core_use(image)
    for what, used, limit in (
        ("compartments", use.compartments, chip.compartments), ("input axons", use.input_axons, chip.input_axons),
        ("output axons", use.output_axons, chip.output_axons), ("synapse bits", use.bits, chip.synapse_bits),
        ("compartment profiles", use.profiles, chip.profiles), ("trace profiles", use.trace_profiles, chip.trace_profiles),
    ):  # fmt: skip
        if limit is not None and (used > limit.value).any():
            at = int(np.argmax(used > limit.value))
            raise CapacityError(f"{chip.name}: core {at} needs {used[at]:,} {what}, has {limit.value:,} ({limit.source})")


def _naive(circuit: Circuit, graph: Hypergraph, chip: Chip, shared: bool, seed: int,
           tried: dict[str, np.ndarray]) -> dict[str, tuple[int, float]]:  # fmt: skip
    """Cores and messages per step of the naive mappings, by the estimate of memory."""
    made = {}
    for method in ("sequential", "random"):
        try:
            core = tried[method] if method in tried else _attempt(circuit, graph, chip, method, seed, FIRST if shared else 1.0)
        except CapacityError:
            continue
        made[method] = int(core.max(initial=0)) + 1, messages(graph, core)
    return made


def probes_of(network: Network) -> tuple[Probed, ...]:
    """What the network records; raises for what the chip cannot show."""
    for probe in network.probes:
        if probe.variable not in (SPIKES, COUNTS, RATE, "u", "v"):
            raise UnsupportedError(f"probe on {probe.view}: the chip shows spikes, counts, rate, u and v, not {probe.variable!r}")
    return tuple(Probed(p.view.population, p.variable, p.view.start, p.view.stop, p.view.step, p.every) for p in network.probes)
