"""From a circuit and a core for each neuron to the chip image: axons, synapse lists that are shared where they are alike, routes."""

from dataclasses import dataclass

import numpy as np

from spikesim.hardware.loihi.circuit import FIELDS, Circuit
from spikesim.hardware.loihi.image import ChipImage, Probed
from spikesim.hardware.loihi.limits import BLOCK, HEADER, INDEX_BITS, WEIGHT_BITS, WORD
from spikesim.hardware.loihi.plastic import stored_bits
from spikesim.hardware.loihi.weights import bits_of
from spikesim.kernel import kernel


@dataclass(frozen=True)
class Formats:
    """How synapses of each port are stored: bits of a weight and of a delay, int64 (ports,)."""

    weight_bits: np.ndarray
    delay_bits: np.ndarray


def formats_of(circuit: Circuit) -> Formats:
    """The narrowest formats that hold all synapses of each port."""
    weight_bits, delay_bits = np.zeros((2, max(1, len(circuit.ports))), np.int64)
    order = np.argsort(circuit.port, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(circuit.port[order])) + 1):
        if len(own):
            port = circuit.port[own[0]]
            number = circuit.ports[port].plastic
            bits = bits_of(circuit.weights[own]) if number < 0 else stored_bits(circuit.plastic[number].rule)
            weight_bits[port] = next((b for b in WEIGHT_BITS if b >= bits), 9)
            delay_bits[port] = int(circuit.delays[own].max()).bit_length()
    return Formats(weight_bits, delay_bits)


def build(circuit: Circuit, core: np.ndarray, position: np.ndarray, chip: str, probes: tuple[Probed, ...] = (), *,
          share: bool = True) -> ChipImage:  # fmt: skip
    """The image of ``circuit`` with neuron i on core[i] (int64, -1 for inputs) and core c at position[c] (chip, x, y).

    share: axons whose lists are alike up to a shift of their targets use one list, as those of a convolution do, unless they learn.
    """
    cores = len(position)
    is_input = circuit.is_input
    members = np.flatnonzero(~is_input)
    neuron = members[np.argsort(core[members], kind="stable")]
    core_starts = np.searchsorted(core[neuron], np.arange(cores + 1))
    local, source_of = np.empty(circuit.neurons, np.int64), np.empty(circuit.neurons, np.int64)
    local[neuron] = np.arange(len(neuron)) - core_starts[core[neuron]]
    source_of[neuron] = np.arange(len(neuron))
    source_of[is_input] = len(neuron) + np.arange(is_input.sum())
    order, keys = _sorted(circuit, core, local, source_of)
    to_core, source, port, delay = keys
    new = np.concatenate([[True], (np.diff(to_core) != 0) | (np.diff(source) != 0)]) if len(order) else np.empty(0, bool)
    first = np.flatnonzero(new)
    ends = np.append(first, len(order))
    new_run = new | np.concatenate([[True], (np.diff(port) != 0) | (np.diff(delay) != 0)]) if len(order) else new
    targets, weights = local[circuit.targets[order]], circuit.weights[order]
    plastic = np.array([each.plastic for each in circuit.ports], np.int64)
    learns = np.zeros(len(first), bool)
    learns[np.searchsorted(first, np.flatnonzero(plastic[port] >= 0), side="right") - 1] = True
    base, list_of, kept = _shared(ends, to_core[first], targets, weights, port, delay, learns) if share else _own_lists(ends)
    lists = _lists(kept, ends, new_run, targets - np.repeat(base, np.diff(ends)), weights, port, delay)
    formats = formats_of(circuit)
    list_bits = memory_of(*lists, formats.weight_bits, formats.delay_bits)
    axon_core = to_core[first]
    bits = np.bincount(axon_core[kept], list_bits, minlength=cores).astype(np.int64)
    route = np.argsort(source[first], kind="stable")
    exponent, lane = _lanes(circuit)
    list_starts, run_starts, run_port, run_delay, list_targets, list_weights = lists
    return ChipImage(
        chip=chip, names=circuit.names, shapes=circuit.shapes, starts=circuit.starts, inputs=circuit.inputs, core_starts=core_starts,
        cells={name: circuit.cells[name][neuron] for name in FIELDS}, lanes=_shifts(circuit, neuron, exponent, lane),
        axon_starts=np.searchsorted(axon_core, np.arange(cores + 1)), axon_list=list_of, axon_base=base.astype(np.int32),
        list_starts=list_starts, run_starts=run_starts, run_delay=run_delay.astype(np.uint8), run_port=run_port.astype(np.uint16),
        port_exponent=exponent, port_lane=lane, port_population=np.array([each.population for each in circuit.ports], np.int64),
        port_plastic=plastic, plastic=circuit.plastic,
        targets=list_targets.astype(np.int32), weights=list_weights,
        route_starts=np.searchsorted(source[first][route], np.arange(circuit.neurons + 1)), routes=route, neuron=neuron,
        position=position, bits=bits, train_steps=circuit.train_steps, train_neurons=circuit.train_neurons,
        train_sizes=circuit.train_sizes, rates=circuit.rates, probes=probes,
    )  # fmt: skip


def _sorted(circuit: Circuit, core: np.ndarray, local: np.ndarray, source_of: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The synapses by core of the target, source, port, delay, target: their order, and the first four of these in that order."""
    columns = [core[circuit.targets], source_of[circuit.sources], circuit.port.astype(np.int64), circuit.delays.astype(np.int64),
               local[circuit.targets]]  # fmt: skip
    widths = [int(column.max(initial=0)).bit_length() for column in columns]
    if sum(widths) <= 63:
        key = np.zeros(len(columns[0]), np.int64)
        for column, width in zip(columns, widths, strict=True):
            key = key << width | column
        order = np.argsort(key, kind="stable")
    else:
        order = np.lexsort(columns[::-1])
    return order, tuple(column[order] for column in columns[:4])


def _own_lists(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    axons = np.arange(len(ends) - 1)
    return np.zeros(len(axons), np.int64), axons, axons


def _shared(ends: np.ndarray, core: np.ndarray, targets: np.ndarray, weights: np.ndarray, port: np.ndarray,
            delay: np.ndarray, learns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """For each axon the base that its targets count from and its list; and for each list the axon that it is taken from.

    learns: for each axon whether it has synapses that learn, so that its list stays its own.
    """
    base, digest = fingerprints(ends, targets, weights, port, delay)
    order = np.lexsort((digest, np.diff(ends), core))
    leader = leaders(order, ends, core, base, digest, targets, weights, port, delay)
    leader[learns] = np.flatnonzero(learns)
    kept, list_of = np.unique(leader, return_inverse=True)
    return base, list_of.reshape(-1), kept


@kernel
def fingerprints(ends, targets, weights, port, delay):
    """For each axon its least target and a hash of its list counted from there."""
    axons = len(ends) - 1
    base, digest = np.zeros(axons, np.int64), np.zeros(axons, np.uint64)
    for a in range(axons):
        least = targets[ends[a]]
        for k in range(ends[a], ends[a + 1]):
            least = min(least, targets[k])
        h = np.uint64(14695981039346656037)
        for k in range(ends[a], ends[a + 1]):
            word = np.uint64(targets[k] - least) << np.uint64(40) | np.uint64(np.int64(weights[k]) + 512) << np.uint64(24)
            word |= np.uint64(port[k]) << np.uint64(8) | np.uint64(delay[k])
            h = (h ^ word) * np.uint64(1099511628211)
            h ^= h >> np.uint64(29)
        base[a], digest[a] = least, h
    return base, digest


@kernel
def leaders(order, ends, core, base, digest, targets, weights, port, delay):
    """For each axon the first one of its core with the same list; ``order`` brings those of one core, length and hash together."""
    leader = np.arange(len(order))
    for n in range(1, len(order)):
        a, b = leader[order[n - 1]], order[n]
        length = ends[b + 1] - ends[b]
        if core[a] != core[b] or digest[a] != digest[b] or ends[a + 1] - ends[a] != length:
            continue
        alike = True
        for k in range(length):
            i, j = ends[a] + k, ends[b] + k
            if targets[i] - base[a] != targets[j] - base[b] or weights[i] != weights[j] or port[i] != port[j] or delay[i] != delay[j]:
                alike = False
                break
        if alike:
            leader[b] = a
    return leader


def _lists(kept: np.ndarray, ends: np.ndarray, new_run: np.ndarray, targets: np.ndarray, weights: np.ndarray, port: np.ndarray,
           delay: np.ndarray) -> tuple[np.ndarray, ...]:  # fmt: skip
    """list_starts, run_starts, port and delay of each run, targets and weights of the axons ``kept``."""
    lengths = np.diff(ends)[kept]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    picked = np.repeat(ends[kept] - starts[:-1], lengths) + np.arange(starts[-1])
    runs = np.flatnonzero(new_run[picked])
    run_starts = np.append(runs, starts[-1])
    return (np.searchsorted(runs, starts), run_starts, port[picked][runs], delay[picked][runs], targets[picked], weights[picked])


def memory_of(list_starts: np.ndarray, run_starts: np.ndarray, run_port: np.ndarray, run_delay: np.ndarray, targets: np.ndarray,
              weights: np.ndarray, weight_bits: np.ndarray, delay_bits: np.ndarray) -> np.ndarray:  # fmt: skip
    """The synaptic memory (bits) of each list, int64."""
    widths = np.array(INDEX_BITS[1:], np.int64)
    return list_bits(list_starts, run_starts, run_port.astype(np.int64), targets.astype(np.int64), weight_bits, delay_bits, widths)


@kernel
def list_bits(list_starts, run_starts, run_port, targets, weight_bits, delay_bits, widths):
    """Blocks of at most 64 synapses of one port with a header each, in whole words (nengo-loihi); no index if targets are in a row."""
    made = np.zeros(len(list_starts) - 1, np.int64)
    for row in range(len(made)):
        run = list_starts[row]
        while run < list_starts[row + 1]:
            stop = run
            while stop < list_starts[row + 1] and run_port[stop] == run_port[run]:
                stop += 1
            first, last = run_starts[run], run_starts[stop]
            dense, largest = True, np.int64(0)
            for k in range(first, last):
                largest = max(largest, targets[k])
                dense = dense and targets[k] == targets[first] + k - first
            index = np.int64(0)
            if not dense:
                index = widths[len(widths) - 1]
                for width in widths[::-1]:
                    index = width if largest < 1 << width else index
            each = weight_bits[run_port[run]] + delay_bits[run_port[run]] + index
            count = last - first
            while count > 0:
                block = min(count, BLOCK)
                made[row] += -(-(block * each + HEADER) // WORD) * WORD
                count -= block
            run = stop
    return made


def _lanes(circuit: Circuit) -> tuple[np.ndarray, np.ndarray]:
    """Weight exponent and lane of each port: 0 where the sum is not rounded, else its receptor's number among those that are."""
    exponent = np.array([port.exponent for port in circuit.ports], np.int64)
    rounded: dict[int, list[str]] = {}
    lane = np.zeros(len(exponent), np.int64)
    for at, port in enumerate(circuit.ports):
        if port.exponent < 0:
            known = rounded.setdefault(port.population, [])
            known += [port.receptor] if port.receptor not in known else []
            lane[at] = 1 + known.index(port.receptor)
    return exponent, lane


def _shifts(circuit: Circuit, neuron: np.ndarray, exponent: np.ndarray, lane: np.ndarray) -> np.ndarray:
    """int8 (lanes, compartments): how far the sum of each lane is shifted right."""
    made = np.zeros((1 + int(lane.max(initial=0)), circuit.neurons), np.int8)
    for port, e, row in zip(circuit.ports, exponent, lane, strict=True):
        if row:
            made[row, circuit.starts[port.population] : circuit.starts[port.population + 1]] = -e
    return np.ascontiguousarray(made[:, neuron])
