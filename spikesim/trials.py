"""Trials: a compiled network run from time 0 again and again, each time with inputs of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikesim.compiler.cells import firing_limits
from spikesim.compiler.compile import check_seed
from spikesim.description import checked_number, limits
from spikesim.engine.state import initial_state
from spikesim.errors import DescriptionError, KindError, unknown_name
from spikesim.network import Network
from spikesim.program import POISSON, Cells, Program
from spikesim.recorder import Recorder
from spikesim.recording import Recording

CURRENT, RATE = limits("pA"), limits("Hz", at_least=0.0)


@dataclass(frozen=True)
class Trial:
    """What is replaced in one trial.

    held: for each held current float64 (1, size); limits: for each Poisson population uint64 (size,), see `Cells.limits`;
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


def run_trial(network: Network, engine: Any, steps: int, trial: Trial) -> Recording:
    """Run the trial on an engine whose state and inputs may be overwritten."""
    for index, values in trial.held.items():
        engine.hold(index, values)
    for index, values in trial.limits.items():
        engine.set_limits(index, values)
    engine.reseed(engine.program.seed if trial.seed is None else trial.seed)
    engine.restore(initial_state(engine.program))
    recorder = Recorder(network, engine.program, 0)
    while engine.step < steps:
        recorder.append(engine.advance(min(steps - engine.step, engine.largest_chunk)))
    return recorder.finish()


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
             if held.direct and held.cells == cells.index and held.values.shape == (1, cells.size)]  # fmt: skip
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
