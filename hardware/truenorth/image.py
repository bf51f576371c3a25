"""The chip image: everything a chip is loaded with, as flat arrays, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from spikesim.errors import DescriptionError, KindError
from spikesim.hardware.truenorth.limits import (
    AXON_TYPES,
    AXONS,
    CHIP_HEIGHT,
    CHIP_WIDTH,
    LEAST_DELAY,
    MOST_CHIPS,
    MOST_DELAY,
    NEURONS,
    REACH,
    WORDS,
)  # fmt: skip
from spikesim.neurons.truenorth import HIGHEST, LARGEST_LEAK, LARGEST_THRESHOLD, LARGEST_WEIGHT, LOWEST, NONE, Rules

if TYPE_CHECKING:
    from spikesim.recording import Recording

ARRAYS: dict[str, tuple[type, tuple[int, ...]]] = {  # name: dtype, shape behind the cores
    "positions": (np.int16, (2,)),  # x from west to east and y from north to south, over all chips
    "crossbar": (np.uint64, (AXONS, WORDS)),  # bit j % 64 of word j // 64 is the synapse onto neuron j
    "axon_types": (np.uint8, (AXONS,)),
    "weights": (np.int16, (AXON_TYPES, NEURONS)),
    "leak": (np.int16, (NEURONS,)),
    "threshold": (np.int32, (NEURONS,)),
    "floor": (np.int32, (NEURONS,)),
    "reset": (np.int32, (NEURONS,)),
    "mask": (np.uint16, (NEURONS,)),
    "modes": (np.uint16, (NEURONS,)),  # bits: 0 leak reversal, 1 stochastic leak, 2 floor resets, 3-4 reset mode, 5-8 stochastic synapses
    "potential": (np.int32, (NEURONS,)),
    "destinations": (np.int16, (NEURONS, 4)),  # dx, dy, axon, delay; a delay of 0: none
}
BOUNDS = {
    "axon_types": (0, AXON_TYPES - 1), "weights": (-LARGEST_WEIGHT, LARGEST_WEIGHT), "leak": (-LARGEST_LEAK, LARGEST_LEAK),
    "threshold": (0, LARGEST_THRESHOLD), "floor": (0, LARGEST_THRESHOLD), "reset": (-HIGHEST, HIGHEST), "modes": (0, 511),
    "potential": (LOWEST, HIGHEST),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Inputs:
    """A named group of input lines: ``targets`` int64 (n, 4) of line, core, axon and added ticks; several rows a line fan it out.

    What plays unless something else is given: ``train`` int64 (n, 2) of tick and line, or random spikes where the word that line
    and tick draw from ``stream`` lies below ``limits`` uint64 (size,), as the engines draw them.
    """

    size: int
    targets: np.ndarray
    train: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    limits: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    stream: int = 0


@dataclass(frozen=True, eq=False)
class ChipImage:
    """What TrueNorth chips are loaded with: see `ARRAYS` for the arrays, one row for each core in use.

    chips: how many stand in a row and in a column. inputs: lines from outside by name. outputs: for each name an array int64 (n, 3)
    of line, core and neuron; the spikes of these neurons are the result. rules: how disputed points are decided. report: of the
    mapping, if it came from one.
    """

    arrays: Mapping[str, np.ndarray]
    inputs: Mapping[str, Inputs]
    outputs: Mapping[str, np.ndarray]
    chips: tuple[int, int] = (1, 1)
    rules: Rules = field(default_factory=Rules)
    report: Any = None

    def __post_init__(self) -> None:
        cores = len(self.arrays["positions"]) if "positions" in self.arrays else 0
        for name, value in self.arrays.items():
            if name not in ARRAYS:
                raise KindError(f"ChipImage: there is no array {name!r}; known: {', '.join(ARRAYS)}")
            if not isinstance(value, np.ndarray):
                raise KindError(f"ChipImage.{name}: expected an array, got {type(value).__name__}")
        for name, (dtype, shape) in ARRAYS.items():
            if name not in self.arrays:
                raise KindError(f"ChipImage: the array {name!r} is missing")
            if self.arrays[name].dtype != dtype or self.arrays[name].shape != (cores, *shape):
                raise DescriptionError(f"ChipImage.{name}: expected {np.dtype(dtype)} {(cores, *shape)}, got "
                                       f"{self.arrays[name].dtype} {self.arrays[name].shape}")  # fmt: skip
        check_image(self)
        for name in ("arrays", "inputs", "outputs"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __getattr__(self, name: str) -> np.ndarray:
        if name in ARRAYS:
            return self.arrays[name]
        raise AttributeError(f"ChipImage has no {name!r}")

    @property
    def cores(self) -> int:
        """The number of cores in use."""
        return len(self.arrays["positions"])

    def run(self, inputs: Mapping[str, Any] | None = None, *, steps: int, seed: int = 0, threads: int | None = None) -> Recording:
        """Emulate ``steps`` ticks from the start (see `spikesim.hardware.truenorth.emulator.Emulator.run`)."""
        from spikesim.hardware.truenorth.emulator import Emulator

        return Emulator(self, seed=seed, threads=threads).run(inputs, steps=steps)

    def save(self, path: str | Path) -> None:
        """Write to an HDF5 file."""
        from spikesim.hardware.truenorth.image_file import save

        save(self, path)

    @staticmethod
    def load(path: str | Path) -> ChipImage:
        """Read what `save` has written; raises `FileFormatError` if it is anything else."""
        from spikesim.hardware.truenorth.image_file import load

        return load(path)

    def __str__(self) -> str:
        used, synapses = int((self.destinations[:, :, 3] > 0).sum()), int(np.bitwise_count(self.crossbar).sum())
        text = (
            f"ChipImage: {self.cores:,} cores on {self.chips[0]} x {self.chips[1]} TrueNorth, {synapses:,} synapses, {used:,} destinations"
        )
        return f"{text}\n{self.report}" if self.report is not None else text


def check_image(image: ChipImage) -> None:
    """Raise `DescriptionError` for what the chips cannot hold or reach."""
    chips = image.chips
    if not isinstance(chips, tuple) or len(chips) != 2 or not all(isinstance(n, int) and 1 <= n <= MOST_CHIPS for n in chips):
        raise DescriptionError(f"ChipImage.chips: expected two numbers from 1 to {MOST_CHIPS}, got {chips!r}")
    for name, (least, most) in BOUNDS.items():
        values = image.arrays[name]
        if values.size and (values.min() < least or values.max() > most):
            where = np.argwhere((values < least) | (values > most))[0]
            raise DescriptionError(f"ChipImage.{name}: expected {least} to {most}, got {values[tuple(where)]} at {_at(where)}")
    if image.mask.size and image.mask.max() >= 2**image.rules.mask_bits:
        raise DescriptionError(f"ChipImage.mask: expected {image.rules.mask_bits} bits, got {image.mask.max()}")
    if ((image.modes >> 3 & 3) > NONE).any():
        raise DescriptionError(
            f"ChipImage.modes: the reset mode must be 0, 1 or 2, got 3 at {_at(np.argwhere((image.modes >> 3 & 3) > NONE)[0])}"
        )
    size = np.abs(image.reset)
    if image.rules.reset_encoding == "exponent" and (size & (size + 1)).any():
        raise DescriptionError(f"ChipImage.reset: expected plus or minus 2**k - 1, got {image.reset[(size & (size + 1)) != 0][0]}; "
                               "use Rules(reset_encoding='plain')")  # fmt: skip
    _check_positions(image)
    _check_lines(image)
    target_cores(image)


def _at(where: np.ndarray) -> str:
    names = ("core", "neuron", "field") if len(where) < 3 else ("core", "row", "column")
    return ", ".join(f"{name} {n}" for name, n in zip(names, where.tolist(), strict=False))


def _extent(image: ChipImage) -> np.ndarray:
    return np.array([image.chips[0] * CHIP_WIDTH, image.chips[1] * CHIP_HEIGHT])


def _check_positions(image: ChipImage) -> None:
    positions, extent = image.positions.astype(np.int64), _extent(image)
    outside = ((positions < 0) | (positions >= extent)).any(axis=1)
    if outside.any():
        core = int(np.argmax(outside))
        raise DescriptionError(f"ChipImage.positions: core {core} at {tuple(positions[core].tolist())} lies outside the "
                               f"{extent[0]} x {extent[1]} cores; use more chips")  # fmt: skip
    _, first, count = np.unique(positions @ np.array([1, 1 << 16]), return_index=True, return_counts=True)
    if (count > 1).any():
        raise DescriptionError(f"ChipImage.positions: two cores lie at {tuple(positions[first[np.argmax(count > 1)]].tolist())}")


def _check_lines(image: ChipImage) -> None:
    for name, lines in image.inputs.items():
        _check_table(lines.targets, (lines.size, image.cores, AXONS, 2**31), f"ChipImage.inputs[{name!r}]", "line, core, axon and ticks")
        _check_table(lines.train, (2**31, lines.size), f"ChipImage.inputs[{name!r}].train", "tick and line")
        if lines.limits.dtype != np.uint64 or lines.limits.shape not in ((0,), (lines.size,)):
            raise DescriptionError(f"ChipImage.inputs[{name!r}].limits: expected uint64 ({lines.size},), got {lines.limits.shape}")
    for name, table in image.outputs.items():
        _check_table(table, (2**31, image.cores, NEURONS), f"ChipImage.outputs[{name!r}]", "line, core and neuron")


def _check_table(table: Any, limits: tuple[int, ...], what: str, columns: str) -> None:
    if not isinstance(table, np.ndarray) or table.dtype != np.int64 or table.ndim != 2 or table.shape[1] != len(limits):
        raise DescriptionError(f"{what}: expected int64 (n, {len(limits)}) of {columns}")
    bad = (table < 0) | (table >= np.array(limits))
    if bad.any():
        row = int(np.argwhere(bad)[0, 0])
        raise DescriptionError(f"{what}: expected {columns} below {limits}, got {table[row].tolist()} in row {row}")


def target_cores(image: ChipImage) -> np.ndarray:
    """The core each neuron sends to, int32 (cores, 256): -1 without destination, -2 off the chips' border."""
    dx, dy, axon, delay = (image.destinations[:, :, k].astype(np.int64) for k in range(4))
    far = np.maximum(np.abs(dx), np.abs(dy))
    tests = (
        ((delay < 0) | (delay > MOST_DELAY), f"a delay of {LEAST_DELAY} to {MOST_DELAY} ticks (0 for no destination)", delay),
        ((delay > 0) & (far > REACH), f"a destination within {REACH} cores", far),
        ((delay > 0) & ((axon < 0) | (axon >= AXONS)), f"an axon of 0 to {AXONS - 1}", axon),
    )  # fmt: skip
    for bad, wanted, values in tests:
        if bad.any():
            where = np.argwhere(bad)[0]
            raise DescriptionError(f"ChipImage.destinations: expected {wanted}, got {values[tuple(where)]} at {_at(where)}")
    extent = _extent(image)
    grid = np.full((extent[0], extent[1]), -3, np.int32)
    grid[image.positions[:, 0], image.positions[:, 1]] = np.arange(image.cores)
    x, y = image.positions[:, :1] + dx, image.positions[:, 1:] + dy
    inside = (x >= 0) & (x < extent[0]) & (y >= 0) & (y < extent[1])
    found = np.where(inside, grid[np.clip(x, 0, extent[0] - 1), np.clip(y, 0, extent[1] - 1)], -2).astype(np.int32)
    found[delay == 0] = -1
    if (found == -3).any():
        core, neuron = np.argwhere(found == -3)[0]
        raise DescriptionError(f"ChipImage.destinations: neuron {neuron} of core {core} sends to ({x[core, neuron]}, {y[core, neuron]}), "
                               "where no core is in use")  # fmt: skip
    return found
