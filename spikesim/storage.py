"""Plain data to and from HDF5; reading a file never executes anything it contains.

Every value is one HDF5 object with an attribute ``type``: a group with one child for each field (descriptions), item
(dict, list, tuple), or a dataset (arrays, numbers, text).
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np

from spikesim import distributions, hdf5, network  # noqa: F401  # with the imports below, every description is registered
from spikesim.connectivity.rules import Rule
from spikesim.connectivity.structured import Structured
from spikesim.description import Description, Distribution
from spikesim.errors import FileFormatError, KindError, unknown_name
from spikesim.hdf5 import DAMAGED, DEEPEST, Reading
from spikesim.neurons import Neuron
from spikesim.neurons.combining import Combining
from spikesim.neurons.graded import Graded
from spikesim.plasticity import Plasticity
from spikesim.stimulus import Source, Stimulus
from spikesim.synapses import Receptor, RunningSum

NO_FILE = Combining, Distribution, Graded, Neuron, Plasticity, Receptor, Rule, RunningSum, Source, Stimulus, Structured
ABSTRACT = {kind.__name__ for kind in NO_FILE}


def save(path: str | Path, kind: str, data: Any) -> None:
    """Write ``data`` to ``path``, all or nothing.

    data: descriptions, dicts with text keys, lists, tuples, arrays of numbers, int, float, bool, str, None.
    kind: what the file holds, such as "network"; `load` asks for it. Raises `KindError` naming the place of anything
    else, and OSError if the file cannot be written.
    """
    with hdf5.replaced(path) as temporary, hdf5.new_file(temporary, kind) as file:
        _write(file, "data", data)


def load(path: str | Path, kind: str) -> Any:
    """The ``data`` of a file that `save` wrote with this ``kind``.

    Raises FileNotFoundError if there is no such file, and `FileFormatError` if it is anything but a sound file of this
    kind.
    """
    with hdf5.opened(path) as reading:
        reading.check_kind(kind)
        return _read(reading, reading.file, "data")


def kind_of(path: str | Path) -> str:
    """What a file that `save` wrote holds; raises as `load` does."""
    with hdf5.opened(path) as reading:
        return reading.kind()


def _write(parent: Any, name: str, value: Any) -> None:
    where = hdf5.place(parent, name)
    if where.count("/") > DEEPEST:
        raise KindError(f"{where}: cannot be saved, it lies deeper than {DEEPEST} levels; does the value contain itself?")
    for kinds, write in WRITERS:
        if isinstance(value, kinds):
            return write(parent, name, value)
    raise KindError(f"{where}: cannot save a {type(value).__name__}; expected descriptions, dict, list, tuple, "
                    "arrays of numbers, int, float, bool, str or None")  # fmt: skip


def _write_group(parent: Any, name: str, kind: str, children: Mapping[str, Any]) -> None:
    group = parent.create_group(name, track_order=True)
    group.attrs["type"] = np.bytes_(kind.encode())
    for key, value in children.items():
        _write(group, key, value)


def _write_dict(parent: Any, name: str, value: Mapping[Any, Any]) -> None:
    for key in value:
        if not isinstance(key, str):
            raise KindError(f"{hdf5.place(parent, name)}: cannot save the key {key!r}; expected keys of type str")
    _write_group(parent, name, "dict", {hdf5.escaped(key): item for key, item in value.items()})


def _write_items(parent: Any, name: str, value: list | tuple) -> None:
    kind = "list" if isinstance(value, list) else "tuple"
    _write_group(parent, name, kind, {str(index): item for index, item in enumerate(value)})


def _write_array(parent: Any, name: str, value: np.ndarray) -> None:
    if not hdf5.fits(value.dtype, "biuf"):
        raise KindError(f"{hdf5.place(parent, name)}: cannot save an array of dtype {value.dtype}; expected numbers of 8 bytes or fewer")
    hdf5.write_dataset(parent, name, "array", value)


def _write_int(parent: Any, name: str, value: int) -> None:
    if not -(2**63) <= value < 2**64:
        raise KindError(f"{hdf5.place(parent, name)}: cannot save {value}; expected an integer of 64 bits")
    hdf5.write_dataset(parent, name, "int", np.asarray(int(value), dtype=np.int64 if value < 2**63 else np.uint64))


WRITERS: tuple[tuple[Any, Callable[[Any, str, Any], None]], ...] = (
    (Description, lambda parent, name, value: _write_group(parent, name, type(value).__name__, value.values())),
    (Mapping, _write_dict),
    (list | tuple, _write_items),
    (np.ndarray, _write_array),
    (bool | np.bool_, lambda parent, name, value: hdf5.write_dataset(parent, name, "bool", np.asarray(value, bool))),
    (int | np.integer, _write_int),
    (float | np.float32 | np.float16, lambda parent, name, value: hdf5.write_dataset(parent, name, "float", np.asarray(value, float))),
    (str, lambda parent, name, value: hdf5.write_dataset(parent, name, "text", np.array([hdf5.escaped(value).encode()]))),
    (type(None), lambda parent, name, value: _write_group(parent, name, "none", {})),
)


def _read(reading: Reading, parent: Any, name: str) -> Any:
    node = hdf5.child(reading, parent, name)
    kind = hdf5.label(node, "type")
    return READERS.get(kind, _read_description)(reading, node)


def _read_dict(reading: Reading, node: Any) -> dict[str, Any]:
    found = {name: hdf5.unescaped(name) for name in hdf5.names(node)}
    for name, key in found.items():
        if hdf5.escaped(key) != name:
            raise hdf5.unexpected(f"a key written as {hdf5.escaped(key)!r}", repr(name), DAMAGED, node.name)
    return {key: _read(reading, node, name) for name, key in found.items()}


def _read_items(reading: Reading, node: Any) -> list[Any]:
    numbered = sorted(hdf5.names(node), key=lambda name: (len(name), name))
    if numbered != [str(index) for index in range(len(numbered))]:
        raise hdf5.unexpected(f"items numbered 0 to {len(numbered) - 1}", ", ".join(numbered[:9]), DAMAGED, node.name)
    return [_read(reading, node, name) for name in numbered]


def _read_description(reading: Reading, node: Any) -> Description:
    kind = hdf5.label(node, "type")
    cls = None if kind in ABSTRACT else Description.registry.get(kind)
    if cls is None:
        error = unknown_name("type", kind, (set(Description.registry) - ABSTRACT) | set(READERS), where=node.name)
        raise FileFormatError(f"{error}; import the module that defines it, or update spikesim")
    entries = fields(cls)  # type: ignore[arg-type]
    found, wanted = set(hdf5.names(node)), {entry.name for entry in entries}
    optional = {entry.name for entry in entries if entry.default is not MISSING}  # it may be newer than the file
    if not wanted - optional <= found <= wanted:
        surplus = f"; surplus: {', '.join(sorted(found - wanted)) or 'none'}; missing: {', '.join(sorted(wanted - found)) or 'none'}"
        raise hdf5.unexpected(f"the fields {', '.join(sorted(wanted))} of {kind}", ", ".join(sorted(found)) + surplus, DAMAGED, node.name)
    values = {name: _read(reading, node, name) for name in found}
    try:
        return cls(**values)
    except Exception as error:  # fields without a declared range fail in their own ways
        raise hdf5.unexpected(f"a valid {kind}", f"{type(error).__name__}: {error}", DAMAGED, node.name) from error


READERS: dict[str, Callable[[Reading, Any], Any]] = {
    "dict": _read_dict,
    "list": _read_items,
    "tuple": lambda reading, node: tuple(_read_items(reading, node)),
    "array": lambda reading, node: hdf5.contents(reading, node, "biuf"),
    "bool": lambda reading, node: bool(hdf5.contents(reading, node, "b", ())),
    "int": lambda reading, node: int(hdf5.contents(reading, node, "iu", ())),
    "float": lambda reading, node: float(hdf5.contents(reading, node, "f", ())),
    "text": lambda reading, node: hdf5.unescaped(hdf5.contents(reading, node, "S", (1,)).item().decode()),
    "none": lambda reading, node: None,
}
