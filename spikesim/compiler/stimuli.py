"""Stimuli: held currents, noise and Poisson drive, on the grid of steps."""

from collections import Counter
from typing import Any

import numpy as np
from scipy.special import pdtr

from spikesim.compiler.grid import interval_steps, on_grid
from spikesim.draws import drawn, in_halves
from spikesim.errors import DescriptionError
from spikesim.network import Network, Stimulation
from spikesim.program import Cells, Drive, Held, Noise
from spikesim.random import DRIVE, DRIVE_REST, NOISE, STIMULUS, stream
from spikesim.stimulus import DirectCurrent, NoiseCurrent, PoissonDrive, SampledCurrent, StepCurrent

STRONGEST = 10_000.0  # expected spikes of a drive in one step
COUNTED = 100.0  # of them, whose number surely fits a byte


def compile_stimuli(network: Network, cells: dict[str, Cells], *, dt: float, seed: int) -> dict[str, tuple]:
    """The stimuli of ``network`` as the fields ``held``, ``noise`` and ``drives`` of a program."""
    made: dict[str, list] = {"held": [], "noise": [], "drives": []}
    for index, stimulation in enumerate(network.stimulations):
        field, lower = LOWERINGS[type(stimulation.stimulus)]
        made[field].append(lower(stimulation, cells[stimulation.target.population], index, dt, seed))
    return {field: tuple(entries) for field, entries in made.items()}


def drive_units(stimulations: list[Stimulation], *, dt: float) -> dict[str, float | None]:
    """For each receptor of a population that is driven, the weight of the spikes, if their numbers are all that needs to be kept.

    They are where one drive of one low rate reaches neighbouring neurons and nothing else drives the receptor.
    """
    drives = [(s.target.ids, s.stimulus) for s in stimulations if isinstance(s.stimulus, PoissonDrive)]
    alone = Counter(drive.receptor for _, drive in drives)
    return {
        drive.receptor: drive.weight if alone[drive.receptor] == 1 and ids.step == 1 and _is_low(drive.rate, dt) else None
        for ids, drive in drives
    }


def _is_low(rate: Any, dt: float) -> bool:
    return isinstance(rate, float) and rate * dt * 1e-3 <= COUNTED


def _direct(stimulation: Stimulation, cells: Cells, index: int, dt: float, seed: int) -> Held:
    ids, stimulus = stimulation.target.ids, stimulation.stimulus
    assert isinstance(stimulus, DirectCurrent)
    amplitude = np.asarray(drawn(stimulus.amplitude, len(ids), seed=seed, stream=stream(STIMULUS, index)), np.float64).reshape(1, -1)
    changes = [stimulus.start] if np.isinf(stimulus.stop) else [stimulus.start, stimulus.stop]
    steps = on_grid(np.array(changes), dt, f"stimulus on {stimulation.target}: DirectCurrent.start and stop")
    return Held(cells.index, ids, steps, np.vstack([amplitude, np.zeros_like(amplitude)])[: len(changes)], direct=True)


def _steps(stimulation: Stimulation, cells: Cells, index: int, dt: float, seed: int) -> Held:
    stimulus: StepCurrent = stimulation.stimulus  # type: ignore[assignment]
    steps = on_grid(stimulus.times, dt, f"stimulus on {stimulation.target}: StepCurrent.times")
    return Held(cells.index, stimulation.target.ids, steps, stimulus.amplitudes.reshape(len(steps), -1))


def _sampled(stimulation: Stimulation, cells: Cells, index: int, dt: float, seed: int) -> Held:
    stimulus: SampledCurrent = stimulation.stimulus  # type: ignore[assignment]
    interval = interval_steps(stimulus.interval, dt, f"stimulus on {stimulation.target}: SampledCurrent.interval")
    values = stimulus.samples.reshape(len(stimulus.samples), -1)
    steps = np.arange(len(values) + 1, dtype=np.int64) * interval
    return Held(cells.index, stimulation.target.ids, steps, np.vstack([values, np.zeros((1, values.shape[1]))]))


def _noise(stimulation: Stimulation, cells: Cells, index: int, dt: float, seed: int) -> Noise:
    stimulus: NoiseCurrent = stimulation.stimulus  # type: ignore[assignment]
    interval = interval_steps(stimulus.interval, dt, f"stimulus on {stimulation.target}: NoiseCurrent.interval")
    return Noise(cells.index, stimulation.target.ids, stimulus.mean, stimulus.sd, interval, stream(NOISE, index))


def _drive(stimulation: Stimulation, cells: Cells, index: int, dt: float, seed: int) -> Drive:
    stimulus: PoissonDrive = stimulation.stimulus  # type: ignore[assignment]
    ids = stimulation.target.ids
    rate = drawn(stimulus.rate, len(ids), seed=seed, stream=stream(STIMULUS, index))
    expected = np.asarray(rate, np.float64).reshape(-1) * dt * 1e-3
    if expected.max() > STRONGEST:
        raise DescriptionError(f"stimulus on {stimulation.target}: {expected.max():g} spikes a step, at most {STRONGEST:g}; "
                               "use a DirectCurrent and a NoiseCurrent instead")  # fmt: skip
    port = [port.name for port in cells.ports].index(stimulus.receptor)
    halves, rests = in_halves(poisson_limits(expected))
    return Drive(cells.index, ids, port, stimulus.weight, halves, rests, stream(DRIVE, index), stream(DRIVE_REST, index))


def poisson_limits(expected: np.ndarray) -> np.ndarray:
    """uint64 (len(expected), counts): a word w means as many spikes as there are limits <= w in its row."""
    top = float(expected.max())
    counts = np.arange(int(top + 8.0 * np.sqrt(top) + 16.0))
    limits = np.floor(pdtr(counts[None, :], expected[:, None]) * 2.0**32).astype(np.uint64)
    return np.ascontiguousarray(limits[:, (limits < 2**32).any(axis=0)])


LOWERINGS = {
    DirectCurrent: ("held", _direct),
    StepCurrent: ("held", _steps),
    SampledCurrent: ("held", _sampled),
    NoiseCurrent: ("noise", _noise),
    PoissonDrive: ("drives", _drive),
}
