"""A circuit as Lava processes: neurons of one kind in one process, synapses of one kind in one, for Lava's cost is by process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikesim.errors import UnsupportedError
from spikesim.hardware.loihi.circuit import NO_LOW, Circuit
from spikesim.hardware.loihi.fired import Fired
from spikesim.hardware.loihi.lava_network import HOLDING, LEARNING, LIF, RESET, TERNARY, LavaCells, LavaLinks, LavaNetwork
from spikesim.hardware.loihi.learning import lava_seed
from spikesim.hardware.loihi.plastic import Plastic
from spikesim.hardware.loihi.weights import EXCITATORY, INHIBITORY, MIXED, RANGES, sign_mode

KINDS = (LIF, TERNARY, RESET, HOLDING)
SIGNED, PAYLOAD = 2, 32  # bits of a message that is -1, 0 or 1, and of any size; with none Lava takes every spike for 1
ENDLESS = 2.0**60  # a time constant that is whole, which Lava asks for, and of which no step takes anything


@dataclass(frozen=True)
class LavaForm:
    """The network for Lava, and where each neuron of the circuit is in it: process (inputs last) and number within.

    learned: for each link that learns the circuit's synapses in it, int64.
    """

    network: LavaNetwork
    process: np.ndarray
    number: np.ndarray
    learned: tuple[np.ndarray, ...] = ()


def lava_form(circuit: Circuit, steps: int, *, seed: int = 0, graded: bool = False) -> LavaForm:
    """The processes that compute what the circuit does in ``steps`` steps.

    seed: of the rounding of traces that learn; graded: the inputs will send spikes of other sizes than 1, as the circuit's own may.
    """
    graded = graded or bool((circuit.train_sizes != 1).any())
    process, keys = _grouped(circuit)
    order = np.argsort(process, kind="stable")
    counts = np.bincount(process, minlength=len(keys) + 1)
    number = np.empty(circuit.neurons, np.int64)
    number[order] = np.arange(circuit.neurons) - np.repeat(np.cumsum(counts) - counts, counts)
    cells = tuple(_cells(circuit, key, np.flatnonzero(process == at)) for at, key in enumerate(keys))
    sent = _sent(number, int(counts[-1]), steps, Fired(circuit.train_steps, circuit.train_neurons, circuit.train_sizes))
    links, (learning, learned) = (
        _links(circuit, process, number, _message_bits(keys, graded=graded)),
        _learning_links(circuit, process, number, seed),
    )
    return LavaForm(LavaNetwork(cells, (*links, *learning), (sent,) if counts[-1] else ()), process, number, tuple(learned))


def side_by_side(form: LavaForm, circuit: Circuit, steps: int, bias: np.ndarray, sent: Sequence[Fired],
                 kept: tuple[np.ndarray, ...]) -> LavaNetwork:  # fmt: skip
    """Copies of a network as one, for Lava's cost is by process: cells and inputs of a process one copy after the other.

    bias: int64 (copies, neurons); sent: for each copy its inputs' spikes; kept: for each process the cells of a
    copy of which u and v are to be told.
    """
    copies, cells, inputs = len(bias), [], []
    for at, each in enumerate(form.network.cells):
        mantissa, exponent = mantissa_and_exponent(bias[:, form.process == at].reshape(-1))
        parameters = {name: np.tile(value, copies) if isinstance(value, np.ndarray) else value for name, value in each.parameters.items()}
        cells.append(LavaCells(each.kind, copies * each.size, parameters | {"bias_mant": mantissa, "bias_exp": exponent}))
    for array in form.network.inputs:
        inputs.append(np.concatenate([_sent(form.number, len(array), steps, each) for each in sent]))
    told = tuple((each.size * np.arange(copies)[:, None] + own).reshape(-1) for each, own in zip(form.network.cells, kept, strict=True))
    return replace(form.network, cells=tuple(cells), inputs=tuple(inputs), copies=copies, traced=told)


def _sent(number: np.ndarray, size: int, steps: int, sent: Fired) -> np.ndarray:
    """What the inputs send, int32 (size, steps)."""
    made = np.zeros((size, steps), np.int32)
    early = sent.steps <= steps
    made[number[sent.neurons[early]], sent.steps[early] - 1] = sent.sizes[early]
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


def _message_bits(keys: list[tuple], *, graded: bool) -> list[int]:
    """Of what each process sends, the inputs last."""
    return [SIGNED if KINDS[key[0]] == TERNARY else 0 for key in keys] + [PAYLOAD if graded else 0]


def _links(circuit: Circuit, process: np.ndarray, number: np.ndarray, message_bits: list[int]) -> list[LavaLinks]:
    """A connection process for each pair of processes, exponent and kind of sign; each port that rounds its sum has its own."""
    exponents, plastic = _of_ports(circuit)
    sources, exponent = circuit.sources, exponents[circuit.port]
    if len(sources) == 0:
        return []
    kind = np.where(circuit.weights < RANGES[INHIBITORY][0], 0, np.where(circuit.weights > 0, 1, 2))
    for at in np.flatnonzero(exponents < 0):
        own = circuit.port == at
        kind[own] = (MIXED, EXCITATORY, INHIBITORY).index(sign_mode(circuit.weights[own]))
    _check_single(circuit, process[sources], exponent)
    rank = np.where(exponent < 0, _ranks(circuit)[circuit.port], 0)
    columns = np.stack([process[sources], process[circuit.targets], exponent, kind, rank], axis=1)
    made = []
    for key, own in _groups(columns, np.flatnonzero(plastic[circuit.port] < 0)):
        for part in _distinct(own, number[sources], number[circuit.targets]):
            delays = circuit.delays[part].astype(np.int64)
            made.append(LavaLinks(key[0], key[1], circuit.weights[part].astype(np.int64), number[sources[part]],
                                  number[circuit.targets[part]], delays if circuit.delays[own].any() else None, key[2],
                                  mode=(MIXED, EXCITATORY, INHIBITORY)[key[3]], message_bits=message_bits[key[0]]))  # fmt: skip
    return made


def _learning_links(circuit: Circuit, process: np.ndarray, number: np.ndarray, seed: int) -> tuple[list[LavaLinks], list[np.ndarray]]:
    """A learning process for each projection that learns and pair of processes, and the synapses in each."""
    exponents, plastic = _of_ports(circuit)
    sources, made, learned = circuit.sources, [], []
    columns = np.stack([process[sources], process[circuit.targets], exponents[circuit.port], plastic[circuit.port]], axis=1)
    for key, own in _groups(columns, np.flatnonzero(plastic[circuit.port] >= 0)):
        each = circuit.plastic[key[3]]
        rule = _rule(each, lava_seed(seed, key[3]))
        for part in _distinct(own, number[sources], number[circuit.targets]):
            made.append(LavaLinks(key[0], key[1], circuit.weights[part].astype(np.int64), number[sources[part]],
                                  number[circuit.targets[part]], exponent=key[2], mode=each.rule.sign, kind=LEARNING,
                                  rule=rule))  # fmt: skip
            learned.append(part)
    return made, learned


def _rule(plastic: Plastic, seed: int) -> dict[str, Any]:
    """What Lava's Loihi2FLearningRule takes for pair STDP, in the words of its STDPLoihi."""
    rule = plastic.rule
    if rule.rounding != "shared":
        raise UnsupportedError(f"projection {plastic.projection!r}: Lava draws one random number for all traces of a projection; run it "
                               "with LoihiSTDP(rounding='shared'), or on the emulator")  # fmt: skip
    (minus, minus_exponent), (plus, plus_exponent) = rule.scalings
    return {
        "dw": f"({minus}) * 2 ^ {minus_exponent} * x0 * y1 + ({plus}) * 2 ^ {plus_exponent} * y0 * x1", "rng_seed": seed,
        "x1_impulse": rule.x_impulse, "x1_tau": min(rule.tau_plus, ENDLESS), "y1_impulse": rule.y_impulse,
        "y1_tau": min(rule.tau_minus, ENDLESS), "t_epoch": rule.epoch,
    }  # fmt: skip


def _of_ports(circuit: Circuit) -> tuple[np.ndarray, np.ndarray]:
    """The exponent of each port, and the projection that learns it belongs to, or -1."""
    return np.array([port.exponent for port in circuit.ports] or [0]), np.array([port.plastic for port in circuit.ports] or [-1])


def _groups(columns: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[list[int], np.ndarray]]:
    """Each row that occurs among the ``chosen`` rows of ``columns``, with the numbers of those that hold it."""
    keys, which = np.unique(columns[chosen], axis=0, return_inverse=True)
    order = np.argsort(which.reshape(-1), kind="stable")
    yield from zip(keys.tolist(), np.split(chosen[order], np.cumsum(np.bincount(which.reshape(-1)))[:-1]), strict=False)


def _ranks(circuit: Circuit) -> np.ndarray:
    """The number of each port among those of its population."""
    owners = [port.population for port in circuit.ports]
    return np.array([owners[:at].count(owner) for at, owner in enumerate(owners)] or [0])


def _check_single(circuit: Circuit, source: np.ndarray, exponent: np.ndarray) -> None:
    """Lava rounds the sum of each connection process and delay by itself, the chip's receptor here all at once."""
    names = [(port.population, port.receptor) for port in circuit.ports]
    receptor = np.array([names.index(name) for name in names] or [0])[circuit.port]
    plastic = _of_ports(circuit)[1][circuit.port]
    low = exponent < 0
    found = np.unique(np.stack([receptor[low], circuit.targets[low], source[low], circuit.delays[low], plastic[low]], axis=1), axis=0)
    places, counts = np.unique(found[:, :2], axis=0, return_counts=True)
    if (counts > 1).any():
        port = circuit.ports[places[np.argmax(counts > 1), 0]]
        raise UnsupportedError(f"{circuit.names[port.population]}.{port.receptor}: with its negative exponent {port.exponent} Lava rounds "
                               "the sum of each source and delay by itself; give each a receptor of its own")  # fmt: skip
    pairs, counts = np.unique(np.stack([circuit.port, circuit.sources, circuit.targets])[:, low], axis=1, return_counts=True)
    if (counts > 1).any():
        port = circuit.ports[pairs[0, np.argmax(counts > 1)]]
        raise UnsupportedError(f"{circuit.names[port.population]}.{port.receptor}: with its negative exponent {port.exponent} Lava rounds "
                               "two synapses of one pair of neurons by themselves; make one of them")  # fmt: skip


def _distinct(own: np.ndarray, sources: np.ndarray, targets: np.ndarray) -> list[np.ndarray]:
    """The synapses ``own`` in parts without two at one place of a matrix: the second synapse of a pair comes into a second process."""
    own = own[np.lexsort((targets[own], sources[own]))]
    new = np.concatenate([[True], (np.diff(sources[own]) != 0) | (np.diff(targets[own]) != 0)]) if len(own) else np.empty(0, bool)
    first = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
    copy = np.arange(len(new)) - first
    return [own[copy == k] for k in range(int(copy.max(initial=-1)) + 1)]
