"""Plain data to and from HDF5; reading a file never executes anything it contains.

Every value is one HDF5 object with an attribute ``type``: a group with one child for each field (descriptions), item
(dict, list, tuple), or a dataset (arrays, numbers, text). Small datasets lie inside their object header and large ones
carry a checksum, so HDF5 itself notices damage anywhere. A file is taken to be hostile until it has been read.
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import numpy as np

from spikesim import distributions, network  # noqa: F401  # with the imports below, every description is registered
from spikesim.connectivity.rules import Rule
from spikesim.connectivity.structured import Structured
from spikesim.description import Description, Distribution
from spikesim.errors import FileFormatError, KindError, unknown_name
from spikesim.memory import available_bytes, readable
from spikesim.neurons import Neuron
from spikesim.stimulus import Source, Stimulus
from spikesim.synapses import Receptor

FORMAT, VERSION = "spikesim", 1
DEEPEST = 32  # groups within groups
COMPACT = 4096  # bytes up to which a dataset lies in its object header
MOST_EXPANSION = 2000  # deflate reaches 1032
FILTERS = {1, 2, 3}  # HDF5's numbers of deflate, shuffle and fletcher32; others would load plugins
LIBRARY = ("v110", "v110")  # object headers with checksums, readable since HDF5 1.10
ABSTRACT = {kind.__name__ for kind in (Distribution, Neuron, Receptor, Rule, Source, Stimulus, Structured)}
DAMAGED = "the file may be damaged, or made by another program; save it again from its source"


def save(path: str | Path, kind: str, data: Any, *, arrays: Mapping[str, np.ndarray] | None = None) -> None:
    """Write ``data`` (and ``arrays``, read back by `load_arrays`) to ``path``, all or nothing.

    data: descriptions, dicts with text keys, lists, tuples, arrays of numbers, int, float, bool, str, None.
    kind: what the file holds, such as "network"; `load` asks for it. Raises `KindError` naming the place of anything
    else, and OSError if the file cannot be written.
    """
    import h5py

    path = Path(path)
    temporary = path.with_name(f".spikesim-{uuid4().hex}.tmp")
    try:
        with h5py.File(temporary, "x", libver=LIBRARY) as file:
            file.attrs.update({"format": np.bytes_(FORMAT), "kind": np.bytes_(kind.encode()), "version": VERSION})
            _write(file, "data", data)
            _write(file, "arrays", dict(arrays or {}))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: str | Path, kind: str) -> Any:
    """The ``data`` of a file that `save` wrote with this ``kind``.

    Raises FileNotFoundError if there is no such file, and `FileFormatError` if it is anything but a sound file of this
    kind.
    """
    return _load(path, kind, "data")


def load_arrays(path: str | Path, kind: str) -> dict[str, np.ndarray]:
    """The ``arrays`` of a file that `save` wrote with this ``kind``; raises as `load` does."""
    arrays = _load(path, kind, "arrays")
    if not isinstance(arrays, dict) or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise FileFormatError(f"{path}:/arrays: expected named arrays, found {type(arrays).__name__}; {DAMAGED}")
    return arrays


def _write(parent: Any, name: str, value: Any) -> None:
    place = _place(parent, name)
    if place.count("/") > DEEPEST:
        raise KindError(f"{place}: cannot be saved, it lies deeper than {DEEPEST} levels; does the value contain itself?")
    for kinds, write in WRITERS:
        if isinstance(value, kinds):
            return write(parent, name, value)
    raise KindError(f"{place}: cannot save a {type(value).__name__}; expected descriptions, dict, list, tuple, "
                    "arrays of numbers, int, float, bool, str or None")  # fmt: skip


def _write_group(parent: Any, name: str, kind: str, children: Mapping[str, Any]) -> None:
    group = parent.create_group(name, track_order=True)
    group.attrs["type"] = np.bytes_(kind.encode())
    for key, value in children.items():
        _write(group, key, value)


def _write_dict(parent: Any, name: str, value: Mapping[Any, Any]) -> None:
    for key in value:
        if not isinstance(key, str):
            raise KindError(f"{_place(parent, name)}: cannot save the key {key!r}; expected keys of type str")
    _write_group(parent, name, "dict", {_escaped(key): item for key, item in value.items()})


def _write_items(parent: Any, name: str, value: list | tuple) -> None:
    kind = "list" if isinstance(value, list) else "tuple"
    _write_group(parent, name, kind, {str(index): item for index, item in enumerate(value)})


def _write_array(parent: Any, name: str, value: np.ndarray) -> None:
    if not _fits(value.dtype, "biuf"):
        raise KindError(f"{_place(parent, name)}: cannot save an array of dtype {value.dtype}; expected numbers of 8 bytes or fewer")
    _write_dataset(parent, name, "array", value)


def _write_int(parent: Any, name: str, value: int) -> None:
    if not -(2**63) <= value < 2**64:
        raise KindError(f"{_place(parent, name)}: cannot save {value}; expected an integer of 64 bits")
    _write_dataset(parent, name, "int", np.asarray(int(value), dtype=np.int64 if value < 2**63 else np.uint64))


def _write_dataset(parent: Any, name: str, kind: str, array: np.ndarray) -> None:
    if array.nbytes > COMPACT:
        parent.create_dataset(name, data=array, chunks=True, compression="gzip", compression_opts=1, shuffle=True, fletcher32=True)
    else:
        parent[name] = _compact(parent, array)
    parent[name].attrs["type"] = np.bytes_(kind)


def _compact(parent: Any, array: np.ndarray) -> Any:
    """A dataset with its values in its object header, which ``create_dataset`` cannot do for single numbers."""
    from h5py import Dataset, h5d, h5p, h5s, h5t

    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_layout(h5d.COMPACT)
    space = h5s.create_simple(array.shape) if array.shape else h5s.create(h5s.SCALAR)
    made = h5d.create(parent.id, None, h5t.py_create(array.dtype, logical=True), space, plan)
    made.write(h5s.ALL, h5s.ALL, array.copy(order="C"))
    return Dataset(made)


WRITERS: tuple[tuple[Any, Callable[[Any, str, Any], None]], ...] = (
    (Description, lambda parent, name, value: _write_group(parent, name, type(value).__name__, value.values())),
    (Mapping, _write_dict),
    (list | tuple, _write_items),
    (np.ndarray, _write_array),
    (bool | np.bool_, lambda parent, name, value: _write_dataset(parent, name, "bool", np.asarray(value, bool))),
    (int | np.integer, _write_int),
    (float | np.float32 | np.float16, lambda parent, name, value: _write_dataset(parent, name, "float", np.asarray(value, float))),
    (str, lambda parent, name, value: _write_dataset(parent, name, "text", np.array([_escaped(value).encode()]))),
    (type(None), lambda parent, name, value: _write_group(parent, name, "none", {})),
)


@dataclass
class _Reading:
    """A file while it is read: the objects met so far, and the bytes that may still be allocated."""

    size: int
    room: int
    met: set[int] = field(default_factory=set)


def _load(path: str | Path, kind: str, name: str) -> Any:
    import h5py

    path = Path(path)
    try:
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file; check the path")
        if not path.is_file():  # a pipe would be waited for
            raise _unexpected("a file", "a directory" if path.is_dir() else "a device", "give the path of a saved file")
        if not h5py.is_hdf5(path):
            raise _unexpected("an HDF5 file", "something else", "save it with spikesim, or check the path")
        with h5py.File(path, "r") as file:
            _check_header(file, kind)
            return _read(_Reading(path.stat().st_size, available_bytes()), file, name)
    except FileNotFoundError:
        raise
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error.__cause__
    except Exception as error:  # h5py says nearly anything about damaged files
        raise FileFormatError(f"{path}: expected a whole file, found it unreadable ({error}); {DAMAGED}") from error


def _check_header(file: Any, kind: str) -> None:
    if "format" not in file.attrs or _label(file, "format") != FORMAT:
        raise _unexpected("a file saved by spikesim", "an HDF5 file of another program", "check the path")
    version = int(_attribute(file, "version", "iu"))
    if version != VERSION:
        raise _unexpected(f"version {VERSION} of the format", f"version {version}", "update spikesim")
    if _label(file, "kind") != kind:
        raise _unexpected(f"a {kind}", f"a {_label(file, 'kind')}", "load it with the class that saved it")


def _read(reading: _Reading, parent: Any, name: str) -> Any:
    node = _child(reading, parent, name)
    kind = _label(node, "type")
    return READERS.get(kind, _read_description)(reading, node)


def _child(reading: _Reading, parent: Any, name: str) -> Any:
    """The object called ``name``; raises unless it lies in this file, not too deep, and was not met before."""
    import h5py

    place = _place(parent, name)
    link = parent.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        found = f"a {type(link).__name__}" if link else "nothing"
        raise _unexpected("an object of this file", found, "copy what it points to into the file", place)
    if place.count("/") > DEEPEST:
        raise _unexpected(f"at most {DEEPEST} levels", "a deeper one", DAMAGED, place)
    node = parent[name]
    address = h5py.h5o.get_info(node.id).addr
    if address in reading.met:  # a cycle, or a file that unfolds to far more than its size
        raise _unexpected("an object of its own", "a second link to one that was read already", DAMAGED, place)
    reading.met.add(address)
    return node


def _read_dict(reading: _Reading, node: Any) -> dict[str, Any]:
    found = {name: _unescaped(name) for name in _names(node)}
    for name, key in found.items():
        if _escaped(key) != name:
            raise _unexpected(f"a key written as {_escaped(key)!r}", repr(name), DAMAGED, node.name)
    return {key: _read(reading, node, name) for name, key in found.items()}


def _read_items(reading: _Reading, node: Any) -> list[Any]:
    names = sorted(_names(node), key=lambda name: (len(name), name))
    if names != [str(index) for index in range(len(names))]:
        raise _unexpected(f"items numbered 0 to {len(names) - 1}", ", ".join(names[:9]), DAMAGED, node.name)
    return [_read(reading, node, name) for name in names]


def _read_description(reading: _Reading, node: Any) -> Description:
    kind = _label(node, "type")
    cls = None if kind in ABSTRACT else Description.registry.get(kind)
    if cls is None:
        error = unknown_name("type", kind, (set(Description.registry) - ABSTRACT) | set(READERS), where=node.name)
        raise FileFormatError(f"{error}; import the module that defines it, or update spikesim")
    found, wanted = set(_names(node)), {entry.name for entry in fields(cls)}  # type: ignore[arg-type]
    if found != wanted:
        surplus = f"; surplus: {', '.join(sorted(found - wanted)) or 'none'}; missing: {', '.join(sorted(wanted - found)) or 'none'}"
        raise _unexpected(f"the fields {', '.join(sorted(wanted))} of {kind}", ", ".join(sorted(found)) + surplus, DAMAGED, node.name)
    values = {name: _read(reading, node, name) for name in found}
    try:
        return cls(**values)
    except Exception as error:  # fields without a declared range fail in their own ways
        raise _unexpected(f"a valid {kind}", f"{type(error).__name__}: {error}", DAMAGED, node.name) from error


READERS: dict[str, Callable[[_Reading, Any], Any]] = {
    "dict": _read_dict,
    "list": _read_items,
    "tuple": lambda reading, node: tuple(_read_items(reading, node)),
    "array": lambda reading, node: _contents(reading, node, "biuf"),
    "bool": lambda reading, node: bool(_contents(reading, node, "b", ())),
    "int": lambda reading, node: int(_contents(reading, node, "iu", ())),
    "float": lambda reading, node: float(_contents(reading, node, "f", ())),
    "text": lambda reading, node: _unescaped(_contents(reading, node, "S", (1,)).item().decode()),
    "none": lambda reading, node: None,
}


def _names(node: Any) -> list[str]:
    import h5py

    if not isinstance(node, h5py.Group):
        raise _unexpected(f"a group for a {_label(node, 'type')}", f"a {type(node).__name__}", DAMAGED, node.name)
    return list(node)


def _contents(reading: _Reading, node: Any, kinds: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """All values of a dataset of one of the dtype ``kinds``, checked before anything is allocated."""
    import h5py

    if not isinstance(node, h5py.Dataset) or node.shape is None:
        raise _unexpected("a dataset with values", f"a {type(node).__name__} without", DAMAGED, node.name)
    if not _fits(node.dtype, kinds) or (shape is not None and node.shape != shape):
        wanted = f"values of kind {kinds}" + ("" if shape is None else f" and shape {shape}")
        raise _unexpected(wanted, f"dtype {node.dtype}, shape {node.shape}", DAMAGED, node.name)
    if node.is_virtual or node.external:
        raise _unexpected("values in this file", "a virtual or external dataset", "copy the values into the file", node.name)
    _check_size(reading, node)
    return np.asarray(node[()], dtype=node.dtype)  # no scalar where the shape is ()


def _check_size(reading: _Reading, node: Any) -> None:
    plan = node.id.get_create_plist()
    others = {plan.get_filter(index)[0] for index in range(plan.get_nfilters())} - FILTERS
    if others:
        raise _unexpected("the filters gzip, shuffle and fletcher32", f"filter {max(others)}", "repack the file with gzip", node.name)
    needed = node.dtype.itemsize * max(math.prod(node.shape), math.prod(node.chunks or ()))
    stored = min(node.id.get_storage_size(), reading.size)
    if needed > reading.room:
        raise _unexpected(f"at most {readable(reading.room)}, the free memory", readable(needed), "use a larger machine", node.name)
    if needed > MOST_EXPANSION * stored + 2**16:
        raise _unexpected(f"values that {stored} stored bytes can hold", f"a declared size of {readable(needed)}", DAMAGED, node.name)
    reading.room -= needed


def _fits(dtype: np.dtype, kinds: str) -> bool:
    return dtype.kind in kinds and (dtype.itemsize <= 8 or kinds == "S")  # longdouble differs between machines


def _attribute(node: Any, name: str, kinds: str) -> Any:
    attribute = node.attrs.get_id(name)
    if attribute.dtype.kind not in kinds or attribute.shape != ():
        raise _unexpected(f"one value of kind {kinds} as attribute {name!r}",
                          f"dtype {attribute.dtype}, shape {attribute.shape}", DAMAGED, node.name)  # fmt: skip
    return node.attrs[name]


def _label(node: Any, name: str) -> str:
    return _attribute(node, name, "S").decode()


def _place(parent: Any, name: str) -> str:
    return f"{parent.name.rstrip('/')}/{name}"


def _escaped(text: str) -> str:
    """``text`` as an HDF5 name or string: never empty, no "/", no lone ".", no control characters or surrogates."""
    return re.sub(r"[%/\x00-\x1f\x7f\ud800-\udfff]|^\.", lambda match: "".join(
        f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass")), text) or "%"  # fmt: skip


def _unescaped(text: str) -> str:
    return "" if text == "%" else unquote(text, errors="surrogatepass")


def _unexpected(expected: str, found: str, hint: str, place: str = "") -> FileFormatError:
    return FileFormatError(f"{place}{': ' if place else ''}expected {expected}, found {found}; {hint}")
