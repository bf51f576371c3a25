"""Every error spikesim raises on purpose.

Each is also a standard exception, so callers may catch either. A message says what object is
meant, what was expected, what was found, and what to try.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SpikesimError(Exception):
    """Base of all errors raised by spikesim."""


class DescriptionError(SpikesimError, ValueError):
    """A network, population, projection, model or probe was described with an impossible value."""


class NameUnknownError(SpikesimError, KeyError):
    """A name (parameter, receptor, population, variable, engine, ...) does not exist."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would print the repr, quotes and all


class KindError(SpikesimError, TypeError):
    """A value of the wrong kind was given."""


class UnitError(SpikesimError, ValueError):
    """A quantity has the wrong physical dimension."""


class MemoryNeededError(SpikesimError, MemoryError):
    """The network needs more memory than the machine has."""


class FileFormatError(SpikesimError, ValueError):
    """A file is truncated, foreign, or of a version this spikesim does not read."""


class CacheError(SpikesimError, OSError):
    """The folder for compiled kernels or trained models cannot be used."""


class DataMissingError(SpikesimError, FileNotFoundError):
    """A data set is not on this machine."""


class UnsupportedError(SpikesimError, NotImplementedError):
    """The chosen engine or target does not support something the network contains."""


class ChipOverflowError(SpikesimError, ArithmeticError):
    """A number left the range that the chip has for it."""


class CapacityError(SpikesimError, ValueError):
    """A network needs more of a chip, or of one of its cores, than there is."""


class BackendError(SpikesimError, RuntimeError):
    """A program that runs networks in a process of its own is missing, has failed or hangs."""


class ConversionError(SpikesimError, TypeError):
    """A torch module contains something that cannot be turned into spikes."""


def unknown_name(kind: str, name: object, known: Iterable[str], *, where: str = "") -> NameUnknownError:
    """Build the error for a name that does not exist, with the nearest known name."""
    known = sorted(known)
    near = get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    place = f"{where}: " if where else ""
    return NameUnknownError(f"{place}unknown {kind} {name!r}; {hint}known: {', '.join(known) or 'none'}")
