"""What an engine holds between steps, and what it gives back after some: the same for every engine."""

from dataclasses import dataclass, field

import numpy as np

from spikesim.program import Program


def _no_sizes() -> np.ndarray:
    return np.empty(0, np.int32)


@dataclass(frozen=True)
class State:
    """Everything that the future depends on. Neurons are numbered through all populations.

    values: for each population float64 (variables, size); flight_steps, flight_neurons: int64, the spikes of the
    last ``longest_delay`` steps, in order, which may still be under way; flight_sizes: int32, their sizes, or none
    where no population is graded.
    """

    step: int
    values: tuple[np.ndarray, ...]
    flight_steps: np.ndarray
    flight_neurons: np.ndarray
    flight_sizes: np.ndarray = field(default_factory=_no_sizes)


@dataclass(frozen=True)
class Segment:
    """What happened in some steps.

    spikes: int64, the recorded spikes in order, each as n << 32 | neuron for the n-th
    of the steps; population_counts: int64 (steps, populations);
    neuron_counts: int16 or int64 (neurons,), of populations whose spikes are counted; samples: for each sampler (times, ids);
    sizes: int32, of the spikes, or none where no population is graded.
    """

    spikes: np.ndarray
    population_counts: np.ndarray
    neuron_counts: np.ndarray
    samples: tuple[np.ndarray, ...]
    sizes: np.ndarray = field(default_factory=_no_sizes)


def initial_state(program: Program) -> State:
    """The state at time 0."""
    nothing = np.empty(0, np.int64)
    return State(0, tuple(cells.initial for cells in program.cells), nothing, nothing)


def sample_steps(interval: int, first: int, count: int) -> range:
    """The steps n in [first, first + count) after which a sampler of ``interval`` reads: n + 1 divides by it."""
    start = -(-(first + 1) // interval) * interval - 1
    return range(start, first + count, interval)
