"""Reading HDF5 files that may be damaged, foreign or hostile, and writing such as show damage.

Nothing is followed out of the file, nothing is allocated before its size has been checked, and whatever h5py says
about a bad file becomes a `FileFormatError`. h5py is loaded by the first file.
"""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import numpy as np

from spikesim.errors import FileFormatError
from spikesim.machine import available_bytes, readable

FORMAT, VERSION = "spikesim", 1
DEEPEST = 32  # groups within groups
COMPACT = 4096  # bytes up to which a dataset lies in its object header
MOST_EXPANSION = 2000  # deflate reaches 1032
FILTERS = {1, 2, 3}  # HDF5's numbers of deflate, shuffle and fletcher32; others would load plugins
LIBRARY = ("v110", "v110")  # object headers with checksums, readable since HDF5 1.10
DAMAGED = "the file may be damaged, or made by another program; save it again from its source"


def writable(path: str | Path) -> Path:
    """``path``, where a file can be; raises FileNotFoundError or IsADirectoryError in words of our own."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}; make it first")
    return path


def new_file(path: str | Path, kind: str) -> Any:
    """A new HDF5 file of ``kind``, open for writing; an older file of that name is overwritten."""
    import h5py

    file = h5py.File(writable(path), "w", libver=LIBRARY)
    file.attrs.update({"format": np.bytes_(FORMAT), "kind": np.bytes_(kind.encode()), "format_version": VERSION})
    return file


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """A path to write to; what is there when the body ends takes its place at ``path``, and nothing if it fails."""
    path = writable(path)
    temporary = path.with_name(f".spikesim-{uuid4().hex}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_dataset(parent: Any, name: str, kind: str, array: np.ndarray) -> None:
    """Write numbers or bytes with an attribute ``type``; large ones compressed and with a checksum."""
    if array.nbytes > COMPACT:
        parent.create_dataset(name, data=array, chunks=True, compression="gzip", compression_opts=1, shuffle=True, fletcher32=True)
    else:
        parent[name] = _compact(parent, array)
    parent[name].attrs["type"] = np.bytes_(kind)


def _compact(parent: Any, array: np.ndarray) -> Any:
    """A dataset with its values in its object header, which ``create_dataset`` cannot do for single numbers."""
    from h5py import Dataset, h5d, h5p, h5s, h5t  # type: ignore[attr-defined]

    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_layout(h5d.COMPACT)
    space = h5s.create_simple(array.shape) if array.shape else h5s.create(h5s.SCALAR)
    made = h5d.create(parent.id, None, h5t.py_create(array.dtype, logical=True), space, plan)
    made.write(h5s.ALL, h5s.ALL, array.copy(order="C"))
    return Dataset(made)


@dataclass
class Reading:
    """A file while it is read: the objects met so far, and the bytes that may still be allocated."""

    file: Any
    size: int
    room: int
    met: set[int] = field(default_factory=set)

    def check_kind(self, kind: str) -> None:
        """Raise `FileFormatError` unless the file holds a ``kind``."""
        if self.kind() != kind:
            raise unexpected(f"a {kind}", f"a {self.kind()}", "load it with the class that saved it")

    def kind(self) -> str:
        """What the file holds, such as "network"."""
        return label(self.file, "kind")

    def number(self, name: str, node: Any = None) -> float:
        """A number among the attributes of the file, or of one of its objects."""
        return float(attribute(self.file if node is None else node, name, "iuf"))


@contextmanager
def opened(path: str | Path) -> Iterator[Reading]:
    """The file at ``path``, checked to be one of ours.

    Raises FileNotFoundError if there is none; every other failure here or in the body is a `FileFormatError`.
    """
    import h5py

    path = Path(path)
    if not os.path.exists(path):  # unlike Path.exists, also for names that cannot be
        raise FileNotFoundError(f"{path}: there is no such file; check the path")
    try:
        if not path.is_file():  # a pipe would be waited for
            raise unexpected("a file", "a directory" if path.is_dir() else "a device", "give the path of a saved file")
        if not h5py.is_hdf5(path):
            raise unexpected("an HDF5 file", "something else", "save it with spikesim, or check the path")
        with h5py.File(path, "r") as file:
            _check_header(file)
            yield Reading(file, path.stat().st_size, available_bytes())
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error.__cause__
    except Exception as error:  # h5py says nearly anything about damaged files
        raise FileFormatError(f"{path}: expected a sound file, found it unreadable ({error}); {DAMAGED}") from error


def _check_header(file: Any) -> None:
    if "format" not in file.attrs or label(file, "format") != FORMAT:
        raise unexpected("a file saved by spikesim", "an HDF5 file of another program", "check the path")
    version = int(attribute(file, "format_version", "iu"))
    if version != VERSION:
        raise unexpected(f"version {VERSION} of the format", f"version {version}", "update spikesim")


def child(reading: Reading, parent: Any, name: str) -> Any:
    """The object called ``name``; raises unless it lies in this file, not too deep, and was not met before."""
    import h5py

    where = place(parent, name)
    link = parent.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        found = f"a {type(link).__name__}" if link else "nothing"
        raise unexpected("an object of this file", found, "copy what it points to into the file", where)
    if where.count("/") > DEEPEST:
        raise unexpected(f"at most {DEEPEST} levels", "a deeper one", DAMAGED, where)
    node = parent[name]
    address = h5py.h5o.get_info(node.id).addr  # type: ignore[attr-defined]
    if address in reading.met:  # a cycle, or a file that unfolds to far more than its size
        raise unexpected("an object of its own", "a second link to one that was read already", DAMAGED, where)
    reading.met.add(address)
    return node


def names(node: Any) -> list[str]:
    """The names of a group's children."""
    import h5py

    if not isinstance(node, h5py.Group):
        raise unexpected(f"a group for a {label(node, 'type')}", f"a {type(node).__name__}", DAMAGED, node.name)
    return list(node)


def contents(reading: Reading, node: Any, kinds: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """All values of a dataset of one of the dtype ``kinds``, checked before anything is allocated."""
    import h5py

    if not isinstance(node, h5py.Dataset) or node.shape is None:
        raise unexpected("a dataset with values", f"a {type(node).__name__} without", DAMAGED, node.name)
    if not fits(node.dtype, kinds) or (shape is not None and node.shape != shape):
        wanted = f"values of kind {kinds}" + ("" if shape is None else f" and shape {shape}")
        raise unexpected(wanted, f"dtype {node.dtype}, shape {node.shape}", DAMAGED, node.name)
    if node.is_virtual or node.external:
        raise unexpected("values in this file", "a virtual or external dataset", "copy the values into the file", node.name)
    _check_size(reading, node)
    return np.asarray(node[()], dtype=node.dtype)  # no scalar where the shape is ()


def _check_size(reading: Reading, node: Any) -> None:
    plan = node.id.get_create_plist()
    others = {plan.get_filter(index)[0] for index in range(plan.get_nfilters())} - FILTERS
    if others:
        raise unexpected("the filters gzip, shuffle and fletcher32", f"filter {max(others)}", "repack the file with gzip", node.name)
    needed = node.dtype.itemsize * max(math.prod(node.shape), math.prod(node.chunks or ()))
    stored = min(node.id.get_storage_size(), reading.size)
    if needed > reading.room:
        raise unexpected(f"at most {readable(reading.room)}, the free memory", readable(needed), "use a larger machine", node.name)
    if needed > MOST_EXPANSION * stored + 2**16:
        raise unexpected(f"values that {stored} stored bytes can hold", f"a declared size of {readable(needed)}", DAMAGED, node.name)
    reading.room -= needed


def fits(dtype: np.dtype, kinds: str) -> bool:
    """Whether a dtype is one of ``kinds`` and not too wide."""
    return dtype.kind in kinds and (dtype.itemsize <= 8 or kinds == "S")  # longdouble differs between machines


def attribute(node: Any, name: str, kinds: str) -> Any:
    """An attribute with one value of one of the dtype ``kinds``."""
    attribute = node.attrs.get_id(name)
    if attribute.dtype.kind not in kinds or attribute.shape != ():
        raise unexpected(f"one value of kind {kinds} as attribute {name!r}",
                          f"dtype {attribute.dtype}, shape {attribute.shape}", DAMAGED, node.name)  # fmt: skip
    return node.attrs[name]


def label(node: Any, name: str) -> str:
    """A text attribute."""
    return attribute(node, name, "S").decode()


def place(parent: Any, name: str) -> str:
    """The path of a child."""
    return f"{parent.name.rstrip('/')}/{name}"


def escaped(text: str) -> str:
    """``text`` as an HDF5 name or string: never empty, no "/", no lone ".", no control characters or surrogates."""
    return re.sub(r"[%/\x00-\x1f\x7f\ud800-\udfff]|^\.", lambda match: "".join(
        f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass")), text) or "%"  # fmt: skip


def unescaped(text: str) -> str:
    """The inverse of `escaped`."""
    return "" if text == "%" else unquote(text, errors="surrogatepass")


def unexpected(expected: str, found: str, hint: str, where: str | None = "") -> FileFormatError:
    """A `FileFormatError` in our form of words."""
    return FileFormatError(f"{where}{': ' if where else ''}expected {expected}, found {found}; {hint}")
