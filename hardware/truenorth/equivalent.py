"""The other way round: a chip image as a `Network` of `TrueNorth` neurons, which any engine runs with the same spikes."""

from collections.abc import Mapping

import numpy as np

from spikesim.connectivity.rules import PairList
from spikesim.errors import DescriptionError, UnsupportedError
from spikesim.hardware.truenorth.image import ChipImage, target_cores
from spikesim.hardware.unroll import refuse_sizes
from spikesim.network import Network
from spikesim.neurons.truenorth import RESETS, TrueNorth
from spikesim.population import Population
from spikesim.stimulus import SpikeTrains


def equivalent_network(image: ChipImage, trains: Mapping[str, SpikeTrains] | None = None) -> Network:
    """A network whose neurons fire when those of ``image`` do, to be run with dt=1.

    Neurons of one core that work alike form a population "core C mode M", its neurons in the order of the core; every spike is
    recorded. trains: the spikes of the inputs, by default those that the image holds. An axon with several sources cannot be
    expressed, for the chip merges spikes that meet there; neither can stochastic neurons.
    """
    if (image.modes & 0b111100010).any() or image.mask.any():
        raise UnsupportedError("equivalent_network: the image has stochastic neurons, which only the emulator runs")
    single_sources(image)
    network = Network()
    places = _populations(network, image)
    _recurrent(network, image, places)
    for name, lines in image.inputs.items():
        given = trains[name] if trains and name in trains else SpikeTrains(lines.train[:, 0] + 1.0, lines.train[:, 1])
        refuse_sizes(given, f"equivalent_network: trains[{name!r}]")
        source = network.population(f"input {name}", lines.size, given)
        _connect(network, image, places, source, lines.targets[:, 0], lines.targets[:, 1], lines.targets[:, 2], lines.targets[:, 3])
    return network


def single_sources(image: ChipImage) -> None:
    """Raise `DescriptionError` if two sources share an axon."""
    targets = target_cores(image)
    core, neuron = np.nonzero(targets >= 0)
    booked = [targets[core, neuron] * 256 + image.destinations[core, neuron, 2]]
    booked += [lines.targets[:, 1] * 256 + lines.targets[:, 2] for lines in image.inputs.values()]
    axons, count = np.unique(np.concatenate(booked), return_counts=True)
    if (count > 1).any():
        core, axon = divmod(int(axons[np.argmax(count > 1)]), 256)
        raise DescriptionError(f"axon {axon} of core {core} is booked by {count.max()} sources, whose spikes the chip would merge; "
                               "give each source an axon of its own")  # fmt: skip


def _populations(network: Network, image: ChipImage) -> dict[tuple[int, int], tuple[Population, np.ndarray]]:
    """By core and mode the population and the neurons it holds."""
    made = {}
    for core in range(image.cores):
        for mode in np.unique(image.modes[core]).tolist():
            ids = np.flatnonzero(image.modes[core] == mode)
            reset = next(name for name, code in RESETS.items() if code == mode >> 3 & 3)
            numbers = {"leak": image.leak, "v_threshold": image.threshold, "v_floor": image.floor, "v_reset": image.reset}
            model = TrueNorth(leak_reversal=bool(mode & 1), floor_resets=bool(mode & 4), reset=reset, rules=image.rules,
                              **{name: values[core, ids] for name, values in numbers.items()})  # fmt: skip
            population = network.population(f"core {core} mode {mode}", len(ids), model, initial={"v": image.potential[core, ids]})
            network.record(population)
            made[core, mode] = population, ids
    return made


def _recurrent(network: Network, image: ChipImage, places: dict) -> None:
    targets = target_cores(image)
    for (core, _), (population, ids) in places.items():
        sends = np.flatnonzero(targets[core, ids] >= 0)
        axon, delay = image.destinations[core, ids[sends], 2], image.destinations[core, ids[sends], 3]
        _connect(network, image, places, population, sends, targets[core, ids[sends]], axon, delay)


def _connect(network: Network, image: ChipImage, places: dict, source: Population, lines, cores, axons, delays) -> None:
    """Project line k of ``source`` onto what axon k of core k leads to."""
    for (core, _), (target, ids) in places.items():
        here = np.flatnonzero(cores == core)
        rows = np.unpackbits(image.crossbar[core, axons[here]].view(np.uint8), axis=1, bitorder="little")[:, ids]
        row, column = np.nonzero(rows)
        for part in (delays[here[row]] == 0, delays[here[row]] > 0):  # the engines keep those without delay apart
            if part.any():
                k = here[row[part]]
                weights = image.weights[core, image.axon_types[core, axons[k]], ids[column[part]]]
                delay = 0.0 if delays[k[0]] == 0 else delays[k]
                network.project(source, target, PairList(lines[k], column[part]), weight=weights, delay=delay)
