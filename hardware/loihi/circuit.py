"""The circuit: an integer network as flat arrays, what both the mapper and Lava start from."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikesim.description import Distribution
from spikesim.errors import DescriptionError, UnsupportedError
from spikesim.hardware.loihi.plastic import Plastic, checked_plastic
from spikesim.hardware.unroll import Synapses, unroll
from spikesim.network import Network, Projection
from spikesim.neurons import LoihiLIF
from spikesim.population import Population
from spikesim.stimulus import DirectCurrent, Poisson, SpikeTrains

FIELDS = ("du", "dv", "vth", "vth_low", "bias_mant", "bias_exp", "bias", "refractory", "interval", "offset", "soft", "u", "v")
NO_LOW = -(2**30)  # no lower threshold
LONGEST = 62  # the delay field of a synapse
DT = 1.0  # integer networks count steps


@dataclass(frozen=True)
class Port:
    """One receptor of one population: the sum of its weights is shifted by ``exponent``.

    A projection that learns has a port of its own beside that of its receptor; ``plastic`` is its number, else -1.
    """

    population: int
    receptor: str
    exponent: int
    plastic: int = -1


@dataclass(frozen=True)
class Circuit:
    """Neurons are numbered through all populations; an input population sends given spikes.

    starts: int64 (populations + 1,); inputs: for each population whether it is one; cells: int64 (neurons,) for each of `FIELDS`;
    rows: int64 (neurons + 1,), the synapses of neuron i are rows[i]:rows[i + 1] of targets (int32), weights (int16), delays
    (uint8, steps beyond one) and port (uint16); train_steps, train_neurons: int64, step (from 1 on) and neuron of given
    spikes in time order; train_sizes: int32, their sizes; rates: float64 (neurons,), Hz, of Poisson inputs, 0 for all others; plastic:
    the projections that learn.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    starts: np.ndarray
    inputs: tuple[bool, ...]
    cells: dict[str, np.ndarray]
    ports: tuple[Port, ...]
    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delays: np.ndarray
    port: np.ndarray
    train_steps: np.ndarray
    train_neurons: np.ndarray
    train_sizes: np.ndarray
    rates: np.ndarray
    plastic: tuple[Plastic, ...] = ()

    @property
    def neurons(self) -> int:
        return int(self.starts[-1])

    @property
    def is_input(self) -> np.ndarray:
        """For each neuron whether it belongs to an input population, bool."""
        return np.repeat(self.inputs, np.diff(self.starts))

    @property
    def sources(self) -> np.ndarray:
        """The source of each synapse, int64."""
        return np.repeat(np.arange(self.neurons), np.diff(self.rows))


def circuit_of(network: Network, *, seed: int = 0) -> Circuit:
    """The circuit of an integer network: populations of `LoihiLIF`, `SpikeTrains` and `Poisson`, one step a ms."""
    populations = list(network.populations.values())
    starts = np.cumsum([0, *(len(p) for p in populations)])
    place = {p.name: at for at, p in enumerate(populations)}
    cells = [_cells(p, network) for p in populations]
    ports = [Port(at, name, getattr(receptor, "exponent", 0)) for at, p in enumerate(populations)
             if isinstance(p.model, LoihiLIF) for name, receptor in p.model.receptors.items()]  # fmt: skip
    parts, port, plastic = [], [], []
    for projection in network.projections.values():
        synapses = unroll(network, projection, dt=DT, seed=seed)
        to = place[projection.target.population]
        number = next(k for k, each in enumerate(ports) if (each.population, each.receptor) == (to, projection.receptor))
        if projection.plasticity is not None:
            plastic.append(checked_plastic(synapses, projection))
            ports.append(replace(ports[number], plastic=len(plastic) - 1))
            number = len(ports) - 1
        parts.append(_checked(synapses, projection))
        port.append(np.full(len(parts[-1].sources), number, np.uint16))
        _check_signs(parts[-1].weights, ports[number], projection)
    offsets = [(starts[place[p.source.population]], starts[place[p.target.population]]) for p in network.projections.values()]
    joined = [np.concatenate([part[k] for part in parts] or [np.empty(0, np.int64)]) for k in range(4)]
    sources = np.concatenate([part.sources + start for part, (start, _) in zip(parts, offsets, strict=True)] or [np.empty(0, np.int64)])
    targets = np.concatenate([part.targets + start for part, (_, start) in zip(parts, offsets, strict=True)] or [np.empty(0, np.int64)])
    order = np.argsort(sources * starts[-1] + targets, kind="stable")
    trains = _trains(populations, starts)
    return Circuit(
        tuple(place), tuple(p.shape for p in populations), starts, tuple(not isinstance(p.model, LoihiLIF) for p in populations),
        {name: np.concatenate([each[name] for each in cells]) for name in FIELDS}, tuple(ports),
        np.searchsorted(sources[order], np.arange(starts[-1] + 1)), targets[order].astype(np.int32),
        joined[2][order].astype(np.int16), joined[3][order].astype(np.uint8),
        np.concatenate([*port, np.empty(0, np.uint16)])[order].astype(np.uint16), *trains, _rates(populations), tuple(plastic),
    )  # fmt: skip


def _cells(population: Population, network: Network) -> dict[str, np.ndarray]:
    """The values of `FIELDS` of one population's neurons."""
    model: Any = population.model
    size = len(population)
    if isinstance(model, SpikeTrains | Poisson):
        return {name: np.zeros(size, np.int64) for name in FIELDS}
    if not isinstance(model, LoihiLIF):
        raise UnsupportedError(f"population {population.name!r}: {type(model).__name__} is no neuron of the chip; quantise the network "
                               "first (spikesim.hardware.quantize)")  # fmt: skip
    values = {name: getattr(model, name) for name in ("du", "dv", "vth", "bias_mant", "bias_exp", "refractory", "interval", "offset")}
    values |= {"vth_low": NO_LOW if model.vth_low is None else model.vth_low, "soft": model.reset == "subtract", "bias": 0}
    values |= {name: population.initial.get(name, 0) for name in "uv"}
    extra = set(population.initial) - {"u", "v"}
    if extra:
        raise UnsupportedError(f"population {population.name!r}: the chip starts with u and v, not with {', '.join(sorted(extra))}")
    made = {name: _whole(value, size, f"population {population.name!r}: {name}") for name, value in values.items()}
    made["bias"] = np.floor(made["bias_mant"] * 2.0 ** made["bias_exp"]).astype(np.int64) + _injected(population, network)
    return made


def _injected(population: Population, network: Network) -> np.ndarray:
    """The constant current of a population, which adds to its bias."""
    total = np.zeros(len(population), np.int64)
    for stimulation in network.stimulations:
        if stimulation.target.population == population.name:
            if not isinstance(stimulation.stimulus, DirectCurrent):
                raise UnsupportedError(f"stimulus on {stimulation.target}: the chip takes no {type(stimulation.stimulus).__name__}; send "
                                       "spikes, or give a DirectCurrent, which becomes a bias")  # fmt: skip
            amplitude = np.floor(
                np.asarray(_whole(stimulation.stimulus.amplitude, len(stimulation.target), f"stimulus {stimulation.target}"))
            )
            total[np.asarray(stimulation.target.ids)] += amplitude.astype(np.int64)
    return total


def _whole(value: Any, size: int, what: str) -> np.ndarray:
    """A number or an array as int64 (size,)."""
    try:
        array = np.broadcast_to(np.asarray(value, np.float64).reshape(-1), (size,))
    except (TypeError, ValueError):
        raise UnsupportedError(f"{what}: expected numbers, got {value!r}; draw it first") from None
    if np.any(np.rint(array) != array) or np.any(np.abs(array) >= 2**31):
        raise DescriptionError(
            f"{what}: expected whole numbers of 32 bits, got {array[(np.rint(array) != array) | (abs(array) >= 2**31)][0]:g}"
        )
    return array.astype(np.int64)


def _checked(synapses: Synapses, projection: Projection) -> Synapses:
    what = f"projection {projection.name!r}"
    weights = synapses.weights
    bad = (np.rint(weights) != weights) | (weights < -256) | (weights > 255)
    if bad.any():
        raise DescriptionError(
            f"{what}: weights must be whole numbers from -256 to 255, got {weights[bad][0]:g}; quantise the network first"
        )
    if len(synapses.delays) and not 1 <= synapses.delays.min() <= synapses.delays.max() <= LONGEST + 1:
        raise DescriptionError(f"{what}: delays must be 1 to {LONGEST + 1} steps, got {synapses.delays.min()} to {synapses.delays.max()}; "
                               "a spike reaches the chip's next neuron in the next step")  # fmt: skip
    return synapses._replace(delays=synapses.delays - 1)


def _check_signs(weights: np.ndarray, port: Port, projection: Projection) -> None:
    """A synapse list of mixed signs has no last bit, which matters where the sum is rounded."""
    if port.exponent < 0 and weights.min(initial=0) < 0 < weights.max(initial=0) and np.any(weights % 2):
        raise DescriptionError(f"projection {projection.name!r}: with the negative exponent {port.exponent} weights of both signs must be "
                               "even (8 bits and a sign); divide it by sign, or use even weights")  # fmt: skip


def sizes_of(trains: SpikeTrains) -> np.ndarray:
    """The sizes of given spikes, int32."""
    return np.ones(len(trains.ids), np.int32) if trains.sizes is None else trains.sizes


def _trains(populations: list[Population], starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, neurons and sizes of the spikes that the network itself holds, in time order."""
    steps, neurons, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for start, population in zip(starts, populations, strict=False):
        if isinstance(population.model, SpikeTrains):
            steps.append(np.rint(population.model.times).astype(np.int64))
            neurons.append(population.model.ids + start)
            sizes.append(sizes_of(population.model))
    when, who = np.concatenate(steps), np.concatenate(neurons)
    order = np.lexsort((who, when))
    return when[order], who[order], np.concatenate(sizes)[order]


def _rates(populations: list[Population]) -> np.ndarray:
    made = []
    for population in populations:
        rate = population.model.rate if isinstance(population.model, Poisson) else 0.0
        if isinstance(rate, Distribution):
            raise UnsupportedError(f"population {population.name!r}: give its rate as numbers, not as {rate!r}")
        made.append(np.broadcast_to(np.asarray(rate, np.float64).reshape(-1), (len(population),)))
    return np.concatenate(made)
