"""Mapping: from a network of TrueNorth and IF neurons to a chip image with the same spikes."""

from typing import Any

import numpy as np

from spikesim.errors import DescriptionError, KindError, UnsupportedError
from spikesim.hardware.truenorth.assembly import assemble
from spikesim.hardware.truenorth.cells import PARAMETERS, cells_of
from spikesim.hardware.truenorth.fanout import plan
from spikesim.hardware.truenorth.image import ChipImage
from spikesim.hardware.truenorth.partition import Wiring, make_wiring
from spikesim.hardware.truenorth.synapses import synapses_of
from spikesim.network import COUNTS, RATE, SPIKES, Network
from spikesim.neurons.integrate_and_fire import IF
from spikesim.neurons.model import Neuron
from spikesim.neurons.truenorth import Rules, TrueNorth

TILE = 8  # neurons in x and y: windows of 3 x 3 then read 10 x 10 places, so that two axons each fit a core
FAN_OUTS = ("copies", "splitters")
IF_CONDITION = "no potential of an IF neuron falls below -262,143 or rises above 524,287, the chip's limits"


def map_network(network: Network, *, chip: str = "truenorth", chips: tuple[int, int] = (1, 1), fan_out: str = "copies") -> ChipImage:
    """Map ``network`` (to be run with dt=1) onto TrueNorth; its image fires the same spikes, under the same population names.

    chips: how many in a row and in a column. fan_out: how a neuron reaches several axons, by "copies" (splitters only where these
    have no room) or by "splitters" wherever delays allow. Populations with a probe become outputs. What the chip cannot do exactly is
    an `UnsupportedError` that names the nearest form.
    """
    if not isinstance(network, Network):
        raise KindError(f"map_to: expected a Network, got {network!r}")
    if fan_out not in FAN_OUTS:
        raise DescriptionError(f"map_to: fan_out must be {' or '.join(map(repr, FAN_OUTS))}, got {fan_out!r}")
    network.check_static("TrueNorth")
    names = [name for name, p in network.populations.items() if isinstance(p.model, Neuron)]
    if not names:
        raise DescriptionError("map_to: the network has no population of neurons")
    rules = next((p.model.rules for p in network.populations.values() if isinstance(p.model, TrueNorth)), Rules())
    stimuli = {name: [(s.target, s.stimulus) for s in network.stimulations if s.target.population == name] for name in names}
    parameters = np.concatenate([cells_of(network.populations[name], stimuli[name], rules) for name in names], axis=1)
    starts = _starts(network, names)
    recorded = _recorded(network, starts, parameters.shape[1])
    fixed = (parameters[PARAMETERS.index("modes")] & 2 > 0) | (parameters[PARAMETERS.index("mask")] > 0)
    wiring = _wiring(network, names, starts, parameters.shape[1])
    made = plan(wiring, recorded, fixed, fan_out=fan_out)
    conditions = (IF_CONDITION,) if any(isinstance(network.populations[name].model, IF) for name in names) else ()
    return assemble(network, wiring, made, parameters, starts, recorded, chips=chips, rules=rules, conditions=conditions)


def _starts(network: Network, names: list[str]) -> dict[str, int]:
    """The number of the first neuron of each population: neurons first, input lines behind them."""
    starts, total = {}, 0
    for name in [*names, *(name for name in network.populations if name not in names)]:
        starts[name] = total
        total += len(network.populations[name])
    return starts


def _recorded(network: Network, starts: dict[str, int], neurons: int) -> np.ndarray:
    found = np.zeros(neurons, bool)
    for probe in network.probes:
        name = probe.view.population
        if probe.variable not in (SPIKES, COUNTS, RATE):
            raise UnsupportedError(f"probe on {probe.view}: {probe.variable} cannot leave the chip, only spikes can; record spikes, or "
                                   "run the network on an engine")  # fmt: skip
        if isinstance(network.populations[name].model, Neuron):
            found[starts[name] + np.asarray(probe.view.ids)] = True
    if not found.any():
        raise DescriptionError("map_to: no neuron is recorded, so nothing would leave the chip; add net.record(population)")
    return found


def _wiring(network: Network, names: list[str], starts: dict[str, int], neurons: int) -> Wiring:
    parts: list[list[Any]] = [[], [], [], []]
    for projection in network.projections.values():
        synapses = synapses_of(network, projection)
        source = projection.source.population
        if source in names and len(synapses.delays) and not 1 <= synapses.delays.min() <= synapses.delays.max() <= 15:
            bad = int(synapses.delays[(synapses.delays < 1) | (synapses.delays > 15)][0])
            raise UnsupportedError(f"projection {projection.name!r}: the chip has delays of 1 to 15 ticks, got {bad}; "
                                   "corelets.delay_line makes longer ones")  # fmt: skip
        rows = (
            starts[projection.target.population] + synapses.targets,
            starts[source] + synapses.sources,
            synapses.delays,
            synapses.weights,
        )
        for part, row in zip(parts, rows, strict=True):
            part.append(row)
    targets, sources, delays, weights = (np.concatenate([np.zeros(0, np.int64), *part]) for part in parts)
    groups = np.repeat(np.arange(len(names)), [len(network.populations[name]) for name in names])
    return make_wiring(targets, sources, delays, weights, neurons, [f"population {name!r}" for name in names], groups,
                       np.concatenate([_tiles(network.populations[name].shape) for name in names]))  # fmt: skip


def _tiles(shape: tuple[int, ...]) -> np.ndarray:
    """For each neuron of (channels, height, width) the number of its tile, from 1 on; zeros for other shapes."""
    if len(shape) != 3:
        return np.zeros(int(np.prod(shape)), np.int64)
    _, y, x = np.indices(shape).reshape(3, -1) // np.array([[1], [TILE], [TILE]])
    return y * (-(-shape[2] // TILE)) + x + 1
