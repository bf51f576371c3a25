"""Units at the border: plain floats inside, Brian2 quantities accepted outside.

The convention is NEST's: ms, mV, pA, pF, nS, Hz. A Brian2 quantity is checked for its dimension
and turned into a plain number of that unit; a plain number is taken to be in that unit already.
"""

from typing import Any

from spikesim.errors import UnitError

UNITS = ("ms", "mV", "pA", "pF", "nS", "Hz")


def plain(value: Any, unit: str | None, what: str) -> Any:
    """Return ``value`` as a plain number or array in ``unit``.

    ``unit`` is one of `UNITS`, or None for a dimensionless value. Raises `UnitError` if a quantity
    has another dimension. Values that are not Brian2 quantities pass unchanged.
    """
    if not hasattr(value, "has_same_dimensions"):
        return value
    import brian2  # a quantity was passed, so Brian2 is there and loaded

    scale = {"ms": brian2.ms, "mV": brian2.mV, "pA": brian2.pA, "pF": brian2.pF, "nS": brian2.nS,
             "Hz": brian2.Hz, None: 1.0}[unit]  # fmt: skip
    if not brian2.have_same_dimensions(value, scale):
        raise UnitError(f"{what}: expected a quantity in {unit or 'no unit'}, got {value}; convert it or pass a plain number")
    return brian2.asarray(value / scale) if getattr(value, "shape", ()) else float(value / scale)
