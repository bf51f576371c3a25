"""What a network's neurons become on the chip: their parameters, or an error that names the nearest form the chip has."""

from typing import Any

import numpy as np

from spikesim.description import Distribution
from spikesim.errors import UnsupportedError
from spikesim.neurons.integrate_and_fire import IF
from spikesim.neurons.lif import LIF
from spikesim.neurons.model import Neuron
from spikesim.neurons.truenorth import HIGHEST, LARGEST_THRESHOLD, LOWEST, RESETS, Rules, TrueNorth, nearest_reset
from spikesim.population import Population
from spikesim.stimulus import DirectCurrent, Stimulus
from spikesim.synapses import Delta

PARAMETERS = ("leak", "threshold", "floor", "reset", "mask", "modes", "potential")  # rows of what `cells_of` returns


def cells_of(population: Population, stimuli: list[tuple[Any, Stimulus]], rules: Rules) -> np.ndarray:
    """The chip's parameters of a population, int64 (7, size): see `PARAMETERS`."""
    what = f"population {population.name!r}"
    model: Any = population.model
    for name, value in [*model.values().items(), *population.initial.items()]:
        if isinstance(value, Distribution):
            raise UnsupportedError(f"{what}: {name} is drawn at random; draw whole numbers first and give an array")
    if type(model) in (TrueNorth, IF) and any(type(receptor) is not Delta for receptor in model.receptors.values()):
        _refuse(f"{what}: TrueNorth has synapses without time course only; use Delta receptors")
    if type(model) is TrueNorth:
        model = model if not stimuli else _refuse(f"{what}: TrueNorth neurons take no stimulus")
    elif type(model) is IF:
        model = _from_if(model, population, stimuli, rules, what)
    else:
        raise UnsupportedError(f"{what}: TrueNorth has no {type(model).__name__}; {_nearest(model)}")
    if model.rules != rules:
        raise UnsupportedError(f"{what}: its rules {model.rules} differ from those of the chip, {rules}; a chip has one set of rules")
    mode = model.leak_reversal | model.stochastic_leak << 1 | model.floor_resets << 2 | RESETS[model.reset] << 3
    start = _whole(population.initial.get("v", 0.0), f"{what}: initial v", LOWEST, HIGHEST)
    rows = (model.leak, model.v_threshold, model.v_floor, model.v_reset, model.mask, mode, start)
    return np.stack([np.broadcast_to(np.asarray(row, np.float64).reshape(-1), len(population)) for row in rows]).astype(np.int64)


def _from_if(model: IF, population: Population, stimuli: list[tuple[Any, Stimulus]], rules: Rules, what: str) -> TrueNorth:
    """The TrueNorth neuron that does what an IF neuron does, as long as its potential stays above -262,143."""
    if np.any(np.asarray(model.t_ref) > 0):
        _refuse(f"{what}: TrueNorth has no refractory time; set t_ref=0")
    drive = np.broadcast_to(np.asarray(model.i_e, np.float64).reshape(-1), len(population)).copy()
    for view, stimulus in stimuli:
        if not isinstance(stimulus, DirectCurrent) or isinstance(stimulus.amplitude, Distribution):
            _refuse(f"{what}: the chip has no {type(stimulus).__name__}; a DirectCurrent becomes a leak, or project spikes onto it")
        drive[np.asarray(view.ids)] += np.reshape(stimulus.amplitude, -1)  # type: ignore[union-attr]
    leak = _whole(drive / np.asarray(model.c_m).reshape(-1), f"{what}: current / c_m, its leak", -255, 255)
    threshold = _whole(model.v_threshold, f"{what}: v_threshold", 0, LARGEST_THRESHOLD)
    v_reset = _whole(model.v_reset if model.reset == "value" else 0, f"{what}: v_reset", -HIGHEST, HIGHEST)
    size = np.abs(v_reset)
    if (size & (size + 1)).any() and rules.reset_encoding == "exponent":
        odd = int(v_reset[(size & (size + 1)) != 0][0])
        _refuse(f"{what}: v_reset must be plus or minus 2**k - 1, got {odd}; the nearest is {nearest_reset(odd)}")
    return TrueNorth(leak=leak, v_threshold=threshold, v_reset=v_reset, reset=model.reset, rules=rules)


def _nearest(model: Neuron) -> str:
    """What to use in place of ``model``."""
    if isinstance(model, LIF) and model.conducts():
        return "conductances multiply the potential, which the chip cannot; the nearest form is TrueNorth() with whole weights"
    if isinstance(model, LIF):
        return ("an exponential leak and synaptic currents cannot be had; the nearest form is TrueNorth(leak=-1, leak_reversal=True), "
                "a leak by whole steps towards 0, with Delta receptors")  # fmt: skip
    return "the nearest form is TrueNorth(...) or IF(...) with whole parameters"


def _whole(value: Any, what: str, least: int, most: int) -> np.ndarray:
    array = np.asarray(value, np.float64).reshape(-1)
    bad = array[(array != np.rint(array)) | (array < least) | (array > most)]
    if bad.size:
        near = int(np.clip(np.rint(bad[0]) if np.isfinite(bad[0]) else most, least, most))
        raise UnsupportedError(f"{what}: expected a whole number from {least} to {most}, got {bad[0]:g}; the nearest is {near}")
    return np.rint(array).astype(np.int64)


def _refuse(message: str) -> Any:
    raise UnsupportedError(message)
