"""What `spikesim info` prints."""

import platform
from importlib.metadata import PackageNotFoundError, version

from spikesim.engine import ENGINES
from spikesim.machine import available_bytes, cores, readable
from spikesim.version import VERSION

PACKAGES = ("numpy", "numba", "scipy", "h5py", "torch", "brian2", "nest-simulator", "norse")


def versions() -> dict[str, str]:
    """spikesim, Python and the packages that matter for results, by name; absent ones are left out."""
    found = {"spikesim": VERSION, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def print_info() -> None:
    """Print versions, machine, engines and the kernel cache."""
    from spikesim.engine.sweep import cache_folder

    lines = dict(versions())
    lines |= {"machine": f"{platform.machine()}, {cores()} cores, {readable(available_bytes())} of memory free",
              "engines": ", ".join(ENGINES), "kernels": str(cache_folder())}  # fmt: skip
    for name, value in lines.items():
        print(f"{name:<16}{value}")
