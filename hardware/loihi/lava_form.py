"""A circuit as Lava processes: neurons of one kind in one process, synapses of one kind in one, for Lava's cost is by process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikesim.errors import UnsupportedError
from spikesim.hardware.loihi.circuit import NO_LOW, Circuit
from spikesim.hardware.loihi.lava_network import HOLDING, LIF, RESET, TERNARY, LavaCells, LavaLinks, LavaNetwork
from spikesim.hardware.loihi.weights import EXCITATORY, INHIBITORY, MIXED, RANGES, sign_mode

KINDS = (LIF, TERNARY, RESET, HOLDING)
SIGNED = 2  # bits of a message that is -1, 0 or 1; with none Lava takes every spike for 1


@dataclass(frozen=True)
class LavaForm:
    """The network for Lava, and where each neuron of the circuit is in it: process (inputs last) and number within."""

    network: LavaNetwork
    process: np.ndarray
    number: np.ndarray


def lava_form(circuit: Circuit, steps: int) -> LavaForm:
    """The processes that compute what the circuit does in ``steps`` steps."""
    process, keys = _grouped(circuit)
    order = np.argsort(process, kind="stable")
    counts = np.bincount(process, minlength=len(keys) + 1)
    number = np.empty(circuit.neurons, np.int64)
    number[order] = np.arange(circuit.neurons) - np.repeat(np.cumsum(counts) - counts, counts)
    cells = tuple(_cells(circuit, key, np.flatnonzero(process == at)) for at, key in enumerate(keys))
    sent = _sent(number, int(counts[-1]), steps, circuit.train_steps, circuit.train_neurons)
    return LavaForm(LavaNetwork(cells, tuple(_links(circuit, process, number, keys)), (sent,) if counts[-1] else ()), process, number)


def side_by_side(form: LavaForm, circuit: Circuit, steps: int, bias: np.ndarray, sent: Sequence[tuple[np.ndarray, np.ndarray]],
                 kept: tuple[np.ndarray, ...]) -> LavaNetwork:  # fmt: skip
    """Copies of a network as one, for Lava's cost is by process: cells and inputs of a process one copy after the other.

    bias: int64 (copies, neurons); sent: for each copy (steps, neurons) of its inputs' spikes; kept: for each process the cells of a
    copy of which u and v are to be told.
    """
    copies, cells, inputs = len(bias), [], []
    for at, each in enumerate(form.network.cells):
        mantissa, exponent = mantissa_and_exponent(bias[:, form.process == at].reshape(-1))
        parameters = {name: np.tile(value, copies) if isinstance(value, np.ndarray) else value for name, value in each.parameters.items()}
        cells.append(LavaCells(each.kind, copies * each.size, parameters | {"bias_mant": mantissa, "bias_exp": exponent}))
    for array in form.network.inputs:
        inputs.append(np.concatenate([_sent(form.number, len(array), steps, *each) for each in sent]))
    told = tuple((each.size * np.arange(copies)[:, None] + own).reshape(-1) for each, own in zip(form.network.cells, kept, strict=True))
    return replace(form.network, cells=tuple(cells), inputs=tuple(inputs), copies=copies, traced=told)


def _sent(number: np.ndarray, size: int, steps: int, when: np.ndarray, who: np.ndarray) -> np.ndarray:
    """What the inputs send, int32 (size, steps)."""
    made = np.zeros((size, steps), np.int32)
    early = when <= steps
    made[number[who[early]], when[early] - 1] = 1
    return made


def _grouped(circuit: Circuit) -> tuple[np.ndarray, list[tuple]]:
    """The process of each neuron, inputs after all others, and what the neurons of a process have in common."""
    cells = circuit.cells
    ternary = cells["vth_low"] != NO_LOW
    holding = np.logical_or.reduceat((cells["refractory"] > 0) | (cells["soft"] > 0), circuit.starts[:-1])  # a population stays whole
    kind = np.select([ternary, cells["interval"] > 0, np.repeat(holding, np.diff(circuit.starts))], [1, 2, 3], 0)
    odd = (cells["interval"] > 0) & (ternary | (cells["refractory"] > 0) | (cells["soft"] > 0))
    if odd.any():
        raise UnsupportedError(f"{circuit.names[_owner(circuit, odd)]}: Lava has no neuron with a reset interval and another variant")
    columns = np.stack([kind, *(np.where(ternary, cells[name], 0) for name in ("vth", "vth_low")),
                        cells["interval"], np.where(cells["interval"] > 0, cells["offset"], 0)], axis=1)  # fmt: skip
    keys, found = np.unique(columns[~circuit.is_input], axis=0, return_inverse=True)
    process = np.full(circuit.neurons, len(keys))
    process[~circuit.is_input] = found.reshape(-1)
    return process, [tuple(key.tolist()) for key in keys]


def _owner(circuit: Circuit, mask: np.ndarray) -> int:
    return int(np.searchsorted(circuit.starts, np.argmax(mask), side="right")) - 1


def _cells(circuit: Circuit, key: tuple, members: np.ndarray) -> LavaCells:
    kind, vth, low, interval, offset = key
    own = {name: circuit.cells[name][members] for name in ("du", "dv", "vth", "u", "v", "bias_mant", "bias_exp", "refractory", "soft")}
    extra = circuit.cells["bias"][members] != np.floor(own["bias_mant"] * 2.0 ** own["bias_exp"])
    if extra.any():  # a current was added to the bias
        own["bias_mant"], own["bias_exp"] = mantissa_and_exponent(circuit.cells["bias"][members])
    holding = {"period": own.pop("refractory"), "soft": own.pop("soft")}
    name = KINDS[kind]
    if name == TERNARY:
        del own["vth"]
    more = {TERNARY: {"vth_hi": vth, "vth_lo": low}, RESET: {"interval": interval, "offset": offset}, HOLDING: holding}
    return LavaCells(name, len(members), own | more.get(name, {}))


def mantissa_and_exponent(bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bias values (int64) as mantissa (-4096 to 4095) and exponent (0 to 7); raises where they cannot be had exactly."""
    exponent = np.zeros(len(bias), np.int64)
    for _ in range(7):
        exponent += (bias >> exponent > 4095) | (bias >> exponent < -4096)
    mantissa = bias >> exponent
    wrong = (mantissa << exponent != bias) | (mantissa > 4095) | (mantissa < -4096)
    if wrong.any():
        raise UnsupportedError(f"bias: {bias[wrong][0]} is not a mantissa of 13 bits times 2**0 to 2**7; round it to one")
    return mantissa, exponent


def _links(circuit: Circuit, process: np.ndarray, number: np.ndarray, cells: list[tuple]) -> list[LavaLinks]:
    """A connection process for each pair of processes, exponent and kind of sign; each port that rounds its sum has its own."""
    signed = [KINDS[key[0]] == TERNARY for key in cells] + [False]
    exponents = np.array([port.exponent for port in circuit.ports] or [0])
    sources, exponent = circuit.sources, exponents[circuit.port]
    if len(sources) == 0:
        return []
    kind = np.where(circuit.weights < RANGES[INHIBITORY][0], 0, np.where(circuit.weights > 0, 1, 2))
    for at in np.flatnonzero(exponents < 0):
        own = circuit.port == at
        kind[own] = (MIXED, EXCITATORY, INHIBITORY).index(sign_mode(circuit.weights[own]))
    _check_single(circuit, process[sources], exponent)
    rank = np.where(exponent < 0, _ranks(circuit)[circuit.port], 0)
    keys, which = np.unique(
        np.stack([process[sources], process[circuit.targets], exponent, kind, rank], axis=1), axis=0, return_inverse=True
    )
    order = np.argsort(which.reshape(-1), kind="stable")
    made = []
    for key, own in zip(keys.tolist(), np.split(order, np.cumsum(np.bincount(which.reshape(-1)))[:-1]), strict=True):
        made += _distinct(key, number[sources[own]], number[circuit.targets[own]], circuit.weights[own], circuit.delays[own],
                          SIGNED if signed[key[0]] else 0)  # fmt: skip
    return made


def _ranks(circuit: Circuit) -> np.ndarray:
    """The number of each port among those of its population."""
    owners = [port.population for port in circuit.ports]
    return np.array([owners[:at].count(owner) for at, owner in enumerate(owners)] or [0])


def _check_single(circuit: Circuit, source: np.ndarray, exponent: np.ndarray) -> None:
    """Lava rounds the sum of each connection process and delay by itself, the chip's receptor here all at once."""
    low = exponent < 0
    found = np.unique(np.stack([circuit.port[low], circuit.targets[low], source[low], circuit.delays[low]], axis=1), axis=0)
    places, counts = np.unique(found[:, :2], axis=0, return_counts=True)
    if (counts > 1).any():
        port = circuit.ports[places[np.argmax(counts > 1), 0]]
        raise UnsupportedError(f"{circuit.names[port.population]}.{port.receptor}: with its negative exponent {port.exponent} Lava rounds "
                               "the sum of each source and delay by itself; give each a receptor of its own")  # fmt: skip


def _distinct(key: list[int], sources: np.ndarray, targets: np.ndarray, weights: np.ndarray, delays: np.ndarray,
              message_bits: int) -> list[LavaLinks]:  # fmt: skip
    """Links without two synapses at one place of a matrix: the second synapse of a pair comes into a second process."""
    source, target, exponent, kind, _ = key
    order = np.lexsort((targets, sources))
    sources, targets, weights, delays = (array[order].astype(np.int64) for array in (sources, targets, weights, delays))
    new = np.concatenate([[True], (np.diff(sources) != 0) | (np.diff(targets) != 0)]) if len(sources) else np.empty(0, bool)
    first = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
    copy = np.arange(len(new)) - first
    made = []
    for k in range(int(copy.max(initial=-1)) + 1):
        own = copy == k
        made.append(LavaLinks(source, target, weights[own], sources[own], targets[own], delays[own] if delays.any() else None, exponent,
                              mode=(MIXED, EXCITATORY, INHIBITORY)[kind], message_bits=message_bits))  # fmt: skip
    return made
