"""Populations: parameters drawn, propagators computed, sources prepared."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spikesim.compiler.grid import on_grid
from spikesim.compiler.quanta import Quantum
from spikesim.description import Description, Distribution
from spikesim.draws import drawn
from spikesim.errors import DescriptionError
from spikesim.neurons.model import Neuron
from spikesim.population import Population
from spikesim.program import MEMBRANE, POISSON, TRAIN, Cells, Port
from spikesim.random import INITIAL, PARAMETER, SOURCE, stream
from spikesim.stimulus import Poisson, SpikeTrains

INFINITE = "v_threshold", "low", "high"  # coefficients that may be infinite
PARAMETERS = 256  # streams kept for the parameters (and as many initial values) of one population


def compile_population(population: Population, place: dict[str, Any], *, dt: float, seed: int, quanta: dict[str, Quantum],
                       drives: dict[str, float | None], injected: bool) -> Cells:  # fmt: skip
    """One population as `Cells`.

    ``place`` holds name, index, size, start and stage, ``quanta`` a quantum for each receptor, ``drives`` the units of those driven.
    """
    if isinstance(population.model, Poisson):
        return _poisson(population, place, dt, seed)
    if isinstance(population.model, SpikeTrains):
        return _trains(population, place, dt)
    try:
        model = _resolved(population, place["index"], seed)
    except DescriptionError as error:
        raise DescriptionError(f"population {population.name!r}: as drawn from its distributions, {error}") from None
    _check_refractory(model, population, dt)
    variables, coefficients = model.variables(), _flat(_computed(model.coefficients, dt), population)
    initial = _initial(population, model, place["index"], seed)
    still = [row for row, name in enumerate(variables)
             if name in model.STILL and not np.any(coefficients[model.STILL[name]]) and not np.any(initial[row])]  # fmt: skip
    return Cells(
        **place, kind=MEMBRANE, variables=variables, own=len(model.STATE), still=tuple(still), initial=initial,
        membrane=model.membrane(), coefficients=coefficients, injected=injected,
        separate=model.SEPARATE, graded=model.GRADED, largest_spike=model.largest_spike(),
        ports=tuple(_port(name, model, population, dt, variables, quanta[name], drives) for name in model.receptors),
    )  # fmt: skip


def _resolved(population: Population, index: int, seed: int) -> Neuron:
    """The model with all distributions drawn and all arrays flat, those of its receptors too."""
    model, streams = population.model, iter(range(PARAMETERS * index, PARAMETERS * (index + 1)))

    def next_stream() -> np.uint64:
        for index in streams:
            return stream(PARAMETER, index)
        raise DescriptionError(f"its parameters hold more than {PARAMETERS} distributions")

    def resolve(value: Any) -> Any:
        if isinstance(value, Description) and not isinstance(value, Distribution):
            return replace(value, **{key: resolve(item) for key, item in value.values().items()})  # type: ignore[type-var]
        if isinstance(value, Mapping):
            return {key: resolve(item) for key, item in value.items()}
        if isinstance(value, Distribution):
            return drawn(value, len(population), seed=seed, stream=next_stream())
        return value.reshape(-1) if isinstance(value, np.ndarray) else value

    values = model.values()
    inner_first = sorted(values, key=lambda name: not isinstance(values[name], Mapping))  # receptors, in the order of streams
    return replace(model, **{name: resolve(values[name]) for name in inner_first})  # type: ignore[return-value]


def _check_refractory(model: Any, population: Population, dt: float) -> None:
    given = getattr(population.model, "t_ref", None)
    if given is not None and not isinstance(given, Distribution):  # drawn times are rounded
        on_grid(given, dt, f"population {population.name!r}: t_ref")


def _initial(population: Population, model: Neuron, index: int, seed: int) -> np.ndarray:
    values = {**model.initial(), **population.initial}
    state = np.zeros((len(model.variables()), len(population)))
    for row, name in enumerate(model.variables()):
        if name in values:
            value = drawn(values[name], len(population), seed=seed, stream=stream(INITIAL, PARAMETERS * index + row))
            state[row] = np.reshape(value, -1)
    return state


def _port(name: str, model: Neuron, population: Population, dt: float, variables: tuple[str, ...], quantum: Quantum,
          drives: dict[str, float | None]) -> Port:  # fmt: skip
    receptor = model.receptors[name]
    rows = tuple(variables.index(name) + k for k in range(len(receptor.STATE)))
    coefficients = _flat(_computed(model.receptor_coefficients, dt)[name], population)
    reversal = _flat({"reversal": getattr(receptor, "reversal", 0.0)}, population)["reversal"]
    return Port(name, receptor.KIND, receptor.step, coefficients, reversal, rows, quantum.value, quantum.bits == 32,
                name in drives, drives.get(name))  # fmt: skip


def _computed(coefficients: Callable[[float], dict[str, Any]], dt: float) -> dict[str, Any]:
    """What ``coefficients`` gives for dt; extreme parameters are noticed in `_flat`."""
    with np.errstate(all="ignore"):
        return coefficients(dt)


def _flat(coefficients: dict[str, Any], population: Population) -> dict[str, Any]:
    """Each coefficient as a float, or a float64 vector with one value a neuron."""
    made = {}
    for name, value in coefficients.items():
        array = np.asarray(value, np.float64)
        if np.isnan(array).any() or (np.isinf(array).any() and name not in INFINITE):
            raise DescriptionError(f"population {population.name!r}: its parameters make the coefficient {name} "
                                   f"{array[~np.isfinite(array)].flat[0]}; are some of them extremely large or small?")  # fmt: skip
        made[name] = float(array) if array.ndim == 0 else np.ascontiguousarray(array.reshape(-1))
    return made


def _poisson(population: Population, place: dict[str, Any], dt: float, seed: int) -> Cells:
    rate = drawn(population.model.rate, len(population), seed=seed, stream=stream(PARAMETER, PARAMETERS * place["index"]))  # type: ignore[union-attr]
    rates = np.broadcast_to(np.asarray(rate, np.float64).reshape(-1), (len(population),))
    return Cells(**place, kind=POISSON, limits=firing_limits(rates, population.name, dt), stream=int(stream(SOURCE, place["index"])))


def firing_limits(rates: np.ndarray, name: str, dt: float) -> np.ndarray:
    """Below which word (uint64) a source of each rate (Hz) fires in a step of ``dt`` ms."""
    chance = rates * dt * 1e-3
    if (chance > 1.0 + 1e-12).any():  # 1e3 / dt Hz may come out a little above
        raise DescriptionError(f"population {name!r}: a rate of {chance.max() * 1e3 / dt:g} Hz is more than one spike "
                               f"in each step of {dt:g} ms; lower it or use a shorter dt")  # fmt: skip
    return np.rint(np.minimum(chance, 1.0) * 2.0**32).astype(np.uint64)


def _trains(population: Population, place: dict[str, Any], dt: float) -> Cells:
    model: Any = population.model
    what = f"population {population.name!r}: SpikeTrains.times"
    steps = on_grid(model.times, dt, what) - 1  # a spike found in step n is stamped (n + 1) dt
    if len(steps) and steps[0] < 0:
        raise DescriptionError(f"{what}: the earliest possible spike is at {dt:g} ms, got {model.times[0]:g}")
    order = np.lexsort((model.ids, steps))
    steps, ids = steps[order], model.ids[order]
    twice = (np.diff(steps) == 0) & (np.diff(ids) == 0)
    if twice.any():
        at = int(np.argmax(twice))
        raise DescriptionError(f"{what}: neuron {ids[at]} fires twice at {(steps[at] + 1) * dt:g} ms; give it one spike a step")
    sizes = model.sizes[order] if model.GRADED else np.empty(0, np.int32)
    return Cells(**place, kind=TRAIN, train_steps=steps, train_ids=ids, train_sizes=sizes, graded=model.GRADED,
                 largest_spike=model.largest_spike())  # fmt: skip
