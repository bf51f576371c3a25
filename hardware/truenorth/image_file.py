"""Chip images in HDF5; a file is never trusted: every shape is known before anything is allocated, and the whole image is checked.

/image/arrays/NAME                    one row a core, see `spikesim.hardware.truenorth.image.ARRAYS`
/image/inputs/NAME                    attributes size and stream; targets, train, limits
/image/outputs/NAME                   int64 (n, 3) of line, core and neuron
/image with attributes                cores, columns and rows of chips, mask_bits, and the other options of `Rules`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spikesim.errors import FileFormatError, SpikesimError
from spikesim.hardware.truenorth.image import ARRAYS, ChipImage, Inputs
from spikesim.hardware.truenorth.limits import CHIP_HEIGHT, CHIP_WIDTH, MOST_CHIPS
from spikesim.hdf5 import (
    DAMAGED,
    Reading,
    child,
    contents,
    escaped,
    label,
    names,
    new_file,
    opened,
    replaced,
    unescaped,
    unexpected,
    write_dataset,
)
from spikesim.neurons.truenorth import CHOICES, Rules

KIND = "truenorth_image"
MOST_CORES = CHIP_WIDTH * CHIP_HEIGHT * MOST_CHIPS**2
TABLES = {"targets": 4, "train": 2}  # columns


def save(image: ChipImage, path: str | Path) -> None:
    """Write ``image`` to ``path``, all or nothing; its report stays behind."""
    with replaced(path) as temporary, new_file(temporary, KIND) as file:
        group = _group(file, "image")
        group.attrs.update({"cores": image.cores, "columns": image.chips[0], "rows": image.chips[1], "mask_bits": image.rules.mask_bits})
        group.attrs.update({name: np.bytes_(getattr(image.rules, name).encode()) for name in CHOICES})
        arrays, inputs, outputs = (_group(group, name) for name in ("arrays", "inputs", "outputs"))
        for name in ARRAYS:
            write_dataset(arrays, name, "array", image.arrays[name])
        for name, lines in image.inputs.items():
            made = _group(inputs, escaped(name))
            made.attrs.update({"size": lines.size, "stream": np.uint64(lines.stream)})
            for part in ("targets", "train", "limits"):
                write_dataset(made, part, "array", getattr(lines, part))
        for name, table in image.outputs.items():
            write_dataset(outputs, escaped(name), "array", table)


def load(path: str | Path) -> ChipImage:
    """The image that `save` wrote; raises FileNotFoundError, or `FileFormatError` for anything but a sound one."""
    with opened(path) as reading:
        reading.check_kind(KIND)
        group = child(reading, reading.file, "image")
        cores = _whole(reading, group, "cores", MOST_CORES)
        arrays = _children(reading, group, "arrays")
        if set(arrays) != set(ARRAYS):
            raise unexpected(f"the arrays {', '.join(ARRAYS)}", ", ".join(sorted(arrays)) or "none", DAMAGED, group.name)
        read = {name: _array(reading, arrays[name], dtype, (cores, *shape)) for name, (dtype, shape) in ARRAYS.items()}
        inputs = {unescaped(name): _inputs(reading, node) for name, node in _children(reading, group, "inputs").items()}
        outputs = {unescaped(name): _table(reading, node, 3) for name, node in _children(reading, group, "outputs").items()}
        try:
            rules = Rules(**{name: label(group, name) for name in CHOICES}, mask_bits=_whole(reading, group, "mask_bits", 16))
            chips = (_whole(reading, group, "columns", MOST_CHIPS), _whole(reading, group, "rows", MOST_CHIPS))
            return ChipImage(read, inputs, outputs, chips, rules)
        except SpikesimError as error:
            if isinstance(error, FileFormatError):
                raise
            raise unexpected("a valid image", str(error), DAMAGED, group.name) from error


def _group(parent: Any, name: str) -> Any:
    group = parent.create_group(name, track_order=True)
    group.attrs["type"] = np.bytes_(b"dict")
    return group


def _children(reading: Reading, group: Any, name: str) -> dict[str, Any]:
    parent = child(reading, group, name)
    return {each: child(reading, parent, each) for each in names(parent)}


def _whole(reading: Reading, node: Any, name: str, most: int) -> int:
    value = reading.number(name, node)
    if value != int(value) or not 0 <= value <= most:
        raise unexpected(f"{name} from 0 to {most}", f"{value:g}", DAMAGED, node.name)
    return int(value)


def _array(reading: Reading, node: Any, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    found = contents(reading, node, np.dtype(dtype).kind, shape)
    if found.dtype != dtype:
        raise unexpected(str(np.dtype(dtype)), str(found.dtype), DAMAGED, node.name)
    return found


def _table(reading: Reading, node: Any, columns: int) -> np.ndarray:
    found = contents(reading, node, "i")
    if found.dtype != np.int64 or found.ndim != 2 or found.shape[1] != columns:
        raise unexpected(f"int64 (n, {columns})", f"{found.dtype} {found.shape}", DAMAGED, node.name)
    return found


def _inputs(reading: Reading, node: Any) -> Inputs:
    size = _whole(reading, node, "size", 2**31 - 1)
    tables = {name: _table(reading, child(reading, node, name), columns) for name, columns in TABLES.items()}
    limits = contents(reading, child(reading, node, "limits"), "u")
    return Inputs(size, **tables, limits=limits, stream=_whole(reading, node, "stream", 2**32 - 1))
