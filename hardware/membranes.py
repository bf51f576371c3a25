"""Float neurons as the chip could compute them: decays, gains, thresholds; what it cannot do is refused by name."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikesim.description import Distribution
from spikesim.draws import drawn
from spikesim.errors import UnsupportedError
from spikesim.hardware.unroll import whole_steps
from spikesim.network import Network
from spikesim.neurons import IF, LIF
from spikesim.population import Population
from spikesim.random import INITIAL, PARAMETER, stream
from spikesim.stimulus import DirectCurrent
from spikesim.synapses import Delta, ExponentialCurrent

STREAMS = 256  # of each population, as the compiler numbers them


@dataclass(frozen=True)
class Membrane:
    """One population in the units of its potential, above rest: float64 (size,) arrays.

    keep_v, keep_u: what a step leaves of potential and current; gain: what a weight of 1 adds to the potential in its first
    step; late: steps by which a spike acts later than a jump would; threshold: inf for neurons that never fire; drift: what each
    step adds; v: at time 0, current: likewise, as it adds in the first step; refractory: steps; soft: whether the reset subtracts.
    """

    keep_v: np.ndarray
    keep_u: np.ndarray
    gain: np.ndarray
    drive: np.ndarray  # potential per pA of constant current and step
    late: int
    threshold: np.ndarray
    drift: np.ndarray
    v: np.ndarray
    current: np.ndarray
    refractory: np.ndarray
    soft: bool


def membrane_of(network: Network, population: Population, *, dt: float, seed: int) -> Membrane:
    """The membrane of a population of `LIF` or `IF` neurons, its distributions drawn as the engines draw them."""
    what = f"population {population.name!r}"
    index = list(network.populations).index(population.name)
    if not isinstance(population.model, LIF | IF):
        raise UnsupportedError(f"{what}: {type(population.model).__name__} cannot be put onto the chip; it takes LIF and IF")
    model = _resolved(population, index, seed)
    used = {p.receptor for p in network.projections.values() if p.target.population == population.name}
    stimuli: list[Any] = [s.stimulus for s in network.stimulations if s.target.population == population.name]
    used |= {stimulus.receptor for stimulus in stimuli if hasattr(stimulus, "receptor")}
    receptors = {name: each for name, each in model.receptors.items() if name in used}
    _check(model, receptors, what)
    size = len(population)
    leak = 1.0 / np.asarray(model.tau_m) if isinstance(model, LIF) else 0.0
    rest = model.v_rest if isinstance(model, LIF) else (model.v_reset if model.reset == "value" else 0.0)
    if isinstance(model, LIF) and model.conducts():
        model = replace(model, receptors=receptors)
    coefficients = model.coefficients(dt)
    first = next(iter(receptors.values()), Delta())
    kinetic = first.coefficients(dt, leak, model.c_m)
    keep_u, gain = kinetic.get("decay", 0.0), kinetic.get("gain", 1.0)
    start = _initial(population, model, index, seed)
    current = sum((np.asarray(start[name]) for name in receptors if name in start), np.zeros(1)) * gain
    made = {
        "keep_v": coefficients.get("decay", 1.0), "keep_u": keep_u, "gain": gain, "drive": coefficients["gain"],
        "threshold": np.asarray(model.v_threshold) - rest,
        "drift": coefficients["gain"] * (np.asarray(model.i_e) + _direct(network, population)),
        "v": np.asarray(start["v"]) - rest, "current": current, "refractory": _refractory(population, model, dt, what),
    }  # fmt: skip
    arrays = {name: np.broadcast_to(np.asarray(value, np.float64).reshape(-1), (size,)) for name, value in made.items()}
    return Membrane(**arrays, late=int(isinstance(first, ExponentialCurrent)), soft=isinstance(model, IF) and model.reset == "subtract")


def _check(model: Any, receptors: dict[str, Any], what: str) -> None:
    for name, receptor in receptors.items():
        if not isinstance(receptor, Delta | ExponentialCurrent):
            raise UnsupportedError(f"{what}: receptor {name!r}: the chip has no {type(receptor).__name__}; use ExponentialCurrent or Delta")
    kinds = {(type(r).__name__, np.asarray(getattr(r, "tau", 0.0)).tobytes()) for r in receptors.values()}
    if len(kinds) > 1:
        raise UnsupportedError(f"{what}: a neuron of the chip has one synaptic current, its receptors {', '.join(receptors)} differ; "
                               "give them one time constant")  # fmt: skip
    if isinstance(model, LIF) and np.any(np.asarray(model.v_reset) != np.asarray(model.v_rest)):
        raise UnsupportedError(f"{what}: the chip resets to the resting potential, v_reset differs from v_rest; make them equal")


def _refractory(population: Population, model: Any, dt: float, what: str) -> np.ndarray:
    """Refractory steps; given ones must be whole, drawn ones are rounded, as on the engines."""
    if not isinstance(population.model.t_ref, Distribution):  # type: ignore[union-attr]
        return whole_steps(model.t_ref, dt, f"{what}: t_ref").astype(float)
    return np.rint(np.asarray(model.t_ref) / dt)


def _resolved(population: Population, index: int, seed: int) -> Any:
    """The model with distributions drawn and arrays flat."""
    streams = iter(range(STREAMS * index, STREAMS * (index + 1)))

    def resolve(description: Any) -> dict[str, Any]:
        flat = {key: value.reshape(-1) for key, value in description.values().items() if isinstance(value, np.ndarray)}
        return flat | {key: drawn(value, len(population), seed=seed, stream=stream(PARAMETER, next(streams)))
                       for key, value in description.values().items() if isinstance(value, Distribution)}  # fmt: skip

    model: Any = population.model
    receptors = {key: replace(receptor, **resolve(receptor)) for key, receptor in model.receptors.items()}
    return replace(model, **resolve(model), receptors=receptors)


def _initial(population: Population, model: Any, index: int, seed: int) -> dict[str, Any]:
    values = {**model.initial(), **population.initial}
    rows = {name: row for row, name in enumerate(model.variables())}
    return {name: np.reshape(drawn(value, len(population), seed=seed, stream=stream(INITIAL, STREAMS * index + rows[name])), -1)
            for name, value in values.items()}  # fmt: skip


def _direct(network: Network, population: Population) -> np.ndarray:
    """The constant currents (pA) given to a population, float64 (size,); other stimuli are not the chip's."""
    total = np.zeros(len(population))
    for at, stimulation in enumerate(s for s in network.stimulations if s.target.population == population.name):
        stimulus = stimulation.stimulus
        if isinstance(stimulus, DirectCurrent):
            if isinstance(stimulus.amplitude, Distribution):
                raise UnsupportedError(f"stimulus {at} on {stimulation.target}: draw its amplitude first, and give an array")
            total[np.asarray(stimulation.target.ids)] += np.reshape(stimulus.amplitude, -1)
        elif not hasattr(stimulus, "receptor"):
            raise UnsupportedError(f"stimulus on {stimulation.target}: the chip takes no {type(stimulus).__name__}; use "
                                   "DirectCurrent or spikes")  # fmt: skip
    return total
