"""The chip image: what every core holds and where its spikes go. The emulator and Lava run it; it knows no network."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spikesim.hardware.loihi.plastic import Plastic


@dataclass(frozen=True)
class Probed:
    """What to record: ``variable`` of the neurons start, start + step, ... below stop of a population."""

    population: str
    variable: str
    start: int
    stop: int
    step: int
    every: float | None


@dataclass(frozen=True)
class ChipImage:
    """Compartments, input axons, synapse lists and routes of all cores of all chips.

    Compartments are numbered core by core, from core_starts[c]; sources are the compartments, then the input neurons.

    | array | shape, dtype | meaning |
    |---|---|---|
    | cells | (compartments,) int64 each | du, dv, vth, ...: see `spikesim.hardware.loihi.circuit.FIELDS` |
    | lanes | (lanes, compartments) int8 | how far the sum of each lane is shifted right; lane 0 is not rounded |
    | axon_starts | (cores + 1,) int64 | input axons of each core |
    | axon_list, axon_base | (axons,) int64, int32 | synapse list of an axon; compartment of the core its targets count from |
    | list_starts | (lists + 1,) int64 | runs of each list |
    | run_starts | (runs + 1,) int64 | synapses of each run, which share delay and format |
    | run_delay, run_port | (runs,) uint8, uint16 | steps beyond one; format: weight exponent and lane |
    | port_exponent, port_lane | (ports,) int64 | of each format |
    | port_plastic | (ports,) int64 | number in ``plastic`` of the projection whose synapses these are, -1 for those that do not learn |
    | targets, weights | (synapses,) int32, int16 | compartments from the axon's base on; whole numbers |
    | route_starts, routes | (sources + 1,), int64 | the input axons a source sends to |
    | neuron | (compartments,) int64 | number in its network, of a compartment |
    | position | (cores, 3) int64 | chip, x, y of the core's tile |
    | bits | (cores,) int64 | synaptic memory in use |
    | train_steps, train_neurons | (spikes,) int64 | spikes that the inputs send, by steps from 1 on and numbers in the network |
    | train_sizes | (spikes,) int32 | their sizes, not 0 |
    | rates | (neurons,) float64 | of Poisson inputs, Hz at steps of 1 ms |

    names, shapes, starts, inputs: the populations of the network, as in `Circuit`; probes: what to record; plastic: projections that learn.
    """

    chip: str
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    starts: np.ndarray
    inputs: tuple[bool, ...]
    core_starts: np.ndarray
    cells: dict[str, np.ndarray]
    lanes: np.ndarray
    axon_starts: np.ndarray
    axon_list: np.ndarray
    axon_base: np.ndarray
    list_starts: np.ndarray
    run_starts: np.ndarray
    run_delay: np.ndarray
    run_port: np.ndarray
    port_exponent: np.ndarray
    port_lane: np.ndarray
    port_population: np.ndarray
    port_plastic: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    route_starts: np.ndarray
    routes: np.ndarray
    neuron: np.ndarray
    position: np.ndarray
    bits: np.ndarray
    train_steps: np.ndarray
    train_neurons: np.ndarray
    train_sizes: np.ndarray
    rates: np.ndarray
    probes: tuple[Probed, ...] = ()
    plastic: tuple[Plastic, ...] = ()
    report: Any = field(default=None, compare=False)

    @property
    def cores(self) -> int:
        return len(self.core_starts) - 1

    @property
    def compartments(self) -> int:
        return int(self.core_starts[-1])

    @property
    def neurons(self) -> int:
        """Neurons of the network, inputs included."""
        return int(self.starts[-1])

    @property
    def source_of_neuron(self) -> np.ndarray:
        """The source number of each neuron of the network."""
        made = np.empty(self.neurons, np.int64)
        made[self.neuron] = np.arange(self.compartments)
        is_input = np.repeat(self.inputs, np.diff(self.starts))
        made[is_input] = self.compartments + np.arange(is_input.sum())
        return made

    @property
    def axon_core(self) -> np.ndarray:
        """The core of each input axon."""
        return np.repeat(np.arange(self.cores), np.diff(self.axon_starts))

    def run(self, steps: int, *, inputs: Any = None, currents: Any = None, backend: str = "emulator", **options: Any) -> Any:
        """Run ``steps`` steps from the start and return a `Recording`; see `spikesim.hardware.loihi.run.run_image`."""
        from spikesim.hardware.loihi.run import run_image

        return run_image(self, steps, inputs=inputs, currents=currents, backend=backend, **options)

    def trials(self, steps: int, *, inputs: Any = None, currents: Any = None, seeds: Any = None, backend: str = "emulator",
               **options: Any) -> Any:  # fmt: skip
        """Run from the start once for each of the given inputs and return a `Recording` of each; see
        `spikesim.hardware.loihi.trials.run_trials`."""
        from spikesim.hardware.loihi.trials import run_trials

        return run_trials(self, steps, inputs=inputs, currents=currents, seeds=seeds, backend=backend, **options)

    def save(self, path: str | Path) -> None:
        """Write the image to an HDF5 file."""
        from spikesim.hardware.loihi.image_file import save_image

        save_image(self, path)

    @classmethod
    def load(cls, path: str | Path) -> "ChipImage":
        """Read an image; raises `FileFormatError` if the file is not a sound one."""
        from spikesim.hardware.loihi.image_file import load_image

        return load_image(path)


def ranges(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """first[0], first[0] + 1, ... counts[0] numbers, and so on for each."""
    starts = np.cumsum(counts) - counts
    return np.repeat(first - starts, counts) + np.arange(counts.sum())
