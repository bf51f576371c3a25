"""Compiled kernels that are kept on disk, safely when many processes start at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class _LockedCache(FunctionCache):
    """Numba's cache, written by one process at a time, and renewed when any kernel's source changes.

    Numba itself looks only at the file of the outermost function, not at what that calls. And it numbers the machine
    code of a function's signatures by an index that it reads, extends and writes; two processes that do so at once can
    make the index lead from one signature to the code of another.
    """

    def _index_key(self, sig: Any, codegen: Any) -> tuple:
        return (*super()._index_key(sig, codegen), fingerprint())

    def save_overload(self, sig: Any, data: Any) -> None:
        with locked(Path(self.cache_path)):
            super().save_overload(sig, data)


@cache
def fingerprint() -> str:
    """A hash of all sources that machine code may come from."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(
        [
            root / "random.py",
            root / "prefetch.py",
            root / "barrier.py",
            root / "bits.py",
            root / "draws.py",
            root / "plasticity.py",
            root / "program.py",
            *root.glob("connectivity/*.py"),
            *root.glob("engine/*.py"),
            *root.glob("neurons/*.py"),
            *root.glob("hardware/*.py"),
            *root.glob("hardware/*/*.py"),
        ]
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock on ``folder`` among all processes of this machine."""
    if fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kernel(function: Callable) -> Any:
    """`numba.njit` that releases the interpreter and keeps its machine code on disk."""
    compiled: Any = njit(nogil=True)(function)
    compiled._cache = _LockedCache(function)
    return compiled
