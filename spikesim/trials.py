"""Trials: a compiled network run from time 0 again and again, each time with inputs of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikesim.compiler.cells import firing_limits
from spikesim.description import checked_number, limits
from spikesim.engine.state import Segment, initial_state
from spikesim.errors import DescriptionError, KindError, unknown_name
from spikesim.network import Network
from spikesim.neurons.model import Neuron
from spikesim.program import POISSON, Cells, Program
from spikesim.random import check_seed
from spikesim.recorder import Recorder
from spikesim.recording import Recording

CURRENT, RATE = limits("pA"), limits("Hz", at_least=0.0)
READ_OUT = "v", "u"  # variables that `Confidence` reads


@dataclass(frozen=True)
class Trial:
    """What is replaced in one trial.

    held: for each direct current its amplitude, float64 (1, size); limits: for each Poisson population uint64 (size,), see `Cells.limits`;
    seed: of the random numbers that are drawn while it runs, None for the simulation's own.
    """

    held: dict[int, np.ndarray]
    limits: dict[int, np.ndarray]
    seed: int | None


def trials_of(program: Program, *, currents: Any, rates: Any, seeds: Any) -> list[Trial]:
    """One `Trial` for each row of the given inputs; raises where they do not fit the network or each other."""
    held = {_held(program, name): _table(program, name, values, "currents", CURRENT) for name, values in _mapping(currents, "currents")}
    rows = {_poisson(program, name): _table(program, name, values, "rates", RATE) for name, values in _mapping(rates, "rates")}
    chosen = None if seeds is None else [_seed(seed) for seed in _sequence(seeds)]
    number = {len(values) for values in (*held.values(), *rows.values(), *([] if chosen is None else [chosen]))}
    if len(number) != 1 or 0 in number:
        raise DescriptionError(f"trials: expected currents, rates or seeds for the same number of trials, got {sorted(number) or 'none'}")
    fires = {at: [firing_limits(rate, program.cells[at].name, program.dt) for rate in values] for at, values in rows.items()}
    return [Trial({at: values[k : k + 1] for at, values in held.items()}, {at: values[k] for at, values in fires.items()},
                  None if chosen is None else chosen[k]) for k in range(number.pop())]  # fmt: skip


@dataclass(frozen=True)
class Silence:
    """Ends a trial when no neuron has fired in the last ``steps`` steps, nor any spike is under way.

    A network of neurons that only pass changes on has then settled. Random input never settles, so it is an error; input that
    changes later (spike trains, currents) is waited for.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        _whole(self.steps, "Silence.steps")


@dataclass(frozen=True)
class Confidence:
    """Ends a trial when the read-out of a population is sure.

    That is when the largest potential ("v", or "u" of a `SigmaDelta`), divided by the number of steps so far, leads the second
    largest by ``margin``; looked at after every so many steps.
    """

    population: str
    margin: float
    every: int = 1

    def __post_init__(self) -> None:
        checked_number(self.margin, "Confidence.margin", limits(None, above=0.0, varies=False))
        _whole(self.every, "Confidence.every")


class _Quiet:
    """`Silence` on an engine: how many steps may be run at once, and whether it is the end."""

    def __init__(self, program: Program, until: Silence) -> None:
        if program.noise or program.drives or any(cells.kind == POISSON for cells in program.cells):
            raise DescriptionError("trials: until=Silence(...): the network has random input, which never settles; use Confidence")
        self.wanted = max(until.steps, program.longest_delay)  # so that nothing is under way
        changes = [held.steps for held in program.held] + [cells.train_steps for cells in program.cells]
        self.earliest = max((int(steps[-1]) + 1 for steps in changes if len(steps)), default=0)
        self.silent = 0

    def chunk(self, step: int) -> int:
        return max(self.wanted - self.silent, self.earliest - step)

    def over(self, engine: Any, segment: Segment) -> bool:
        fired = np.flatnonzero(segment.population_counts.any(axis=1))
        steps = len(segment.population_counts)
        self.silent = steps - 1 - int(fired[-1]) if len(fired) else self.silent + steps
        return self.silent >= self.wanted and engine.step >= self.earliest


class _Sure:
    """`Confidence`, likewise."""

    def __init__(self, program: Program, until: Confidence) -> None:
        cells = _cells(program, until.population, "until=Confidence(...)")
        readable = [name for name in READ_OUT if name in cells.variables]
        if not readable or cells.size < 2:
            found = f"{cells.size} with {', '.join(cells.variables) or 'none'}"
            raise DescriptionError(f"trials: until=Confidence(...): population {cells.name!r} cannot be read out; it needs two "
                                   f"neurons with a variable {' or '.join(READ_OUT)}, has {found}")  # fmt: skip
        self.index, self.variable, self.until = cells.index, cells.variables.index(readable[0]), until

    def chunk(self, step: int) -> int:
        return self.until.every - step % self.until.every

    def over(self, engine: Any, segment: Segment) -> bool:
        if engine.step % self.until.every:
            return False
        second, first = np.partition(engine.read(self.index, self.variable).astype(np.float64), -2)[-2:]
        return (first - second) / engine.step >= self.until.margin


STOPS = {Silence: _Quiet, Confidence: _Sure}


def check_until(program: Program, until: Silence | Confidence | None) -> None:
    """Raise unless ``until`` can end trials of the program."""
    if until is None:
        return
    if type(until) not in STOPS:
        raise KindError(f"trials: until must be Silence(...) or Confidence(...), got {until!r}")
    STOPS[type(until)](program, until)


def run_trial(network: Network, engine: Any, steps: int, trial: Trial, until: Silence | Confidence | None = None) -> Recording:
    """Run the trial on an engine whose state and inputs may be overwritten, for ``steps`` steps or ``until`` its end."""
    for index, amplitude in trial.held.items():
        values = np.zeros((len(engine.program.held[index].steps), amplitude.shape[1]))  # 0 after its end
        values[0] = amplitude
        engine.hold(index, values)
    for index, values in trial.limits.items():
        engine.set_limits(index, values)
    engine.reseed(engine.program.seed if trial.seed is None else trial.seed)
    engine.restore(initial_state(engine.program))
    recorder = Recorder(network, engine.program, 0)
    stop = None if until is None else STOPS[type(until)](engine.program, until)
    while engine.step < steps:
        chunk = steps if stop is None else stop.chunk(engine.step)
        segment = engine.advance(min(chunk, steps - engine.step, engine.largest_chunk))
        recorder.append(segment)
        if stop is not None and stop.over(engine, segment):
            break
    return recorder.finish()


def check_states(network: Network, engine: Any, dt: float) -> None:
    """Raise if a model that counts in whole numbers says that its neurons must not be where they are."""
    for at, population in enumerate(network.populations.values()):
        model = population.model
        if isinstance(model, Neuron) and model.EXACT:
            state = {name: engine.read(at, k) for k, name in enumerate(model.variables())}
            model.check_state(population.name, state, dt)


def _whole(value: Any, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise KindError(f"{what}: expected a whole number of steps, got {value!r}")
    if value < 1:
        raise DescriptionError(f"{what}: expected at least 1 step, got {value}")


def _mapping(given: Any, what: str) -> Any:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise KindError(f"trials: {what} must map population names to arrays, got {given!r}")
    return given.items()


def _sequence(seeds: Any) -> Sequence:
    if isinstance(seeds, str) or not isinstance(seeds, Sequence | np.ndarray) or getattr(seeds, "ndim", 1) != 1:
        raise KindError(f"trials: seeds must be a sequence of whole numbers, got {seeds!r}")
    return list(seeds)


def _seed(seed: Any) -> int:
    check_seed(seed)
    return int(seed)


def _cells(program: Program, name: Any, what: str) -> Cells:
    known = [cells.name for cells in program.cells]
    if not isinstance(name, str) or name not in known:
        raise unknown_name("population", name, known, where=f"trials: {what}")
    return program.cells_named(name)


def _held(program: Program, name: Any) -> int:
    """Which of the held currents is the one direct current on the whole of a population."""
    cells = _cells(program, name, "currents")
    found = [at for at, held in enumerate(program.held)
             if held.direct and held.cells == cells.index and held.values.shape[1] == cells.size]  # fmt: skip
    if len(found) != 1:
        raise DescriptionError(f"trials: population {name!r} needs one DirectCurrent with an amplitude for each of its neurons, found "
                               f"{len(found)}; add net.stimulate(..., DirectCurrent(np.zeros({cells.size})))")  # fmt: skip
    return found[0]


def _poisson(program: Program, name: Any) -> int:
    cells = _cells(program, name, "rates")
    if cells.kind != POISSON:
        raise DescriptionError(f"trials: rates are for populations of Poisson sources; {name!r} is none")
    return cells.index


def _table(program: Program, name: str, values: Any, what: str, bounds: Any) -> np.ndarray:
    """``values`` as float64 (trials, size)."""
    size = program.cells_named(name).size
    array = np.asarray(checked_number(values, f"trials: {what}[{name!r}]", bounds))
    if array.ndim < 2 or len(array) == 0 or array.size != len(array) * size:
        raise DescriptionError(f"trials: {what}[{name!r}]: expected shape (trials, {size}), got {array.shape}")
    return array.reshape(len(array), size)
