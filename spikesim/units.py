"""Units at the border: plain floats inside, Brian2 quantities accepted outside.

The convention is NEST's: ms, mV, pA, pF, nS, Hz. A Brian2 quantity is checked for its dimension
and turned into a plain number of that unit; a plain number is taken to be in that unit already.
"""

from typing import Any

import numpy as np

from spikesim.errors import UnitError

UNITS = ("ms", "mV", "pA", "pF", "nS", "Hz")


def plain(value: Any, unit: str | None, what: str) -> Any:
    """Return ``value`` as a plain number or array in ``unit``.

    ``unit`` is one of `UNITS`, or None for a dimensionless value. Raises `UnitError` if a quantity
    has another dimension. Values that are not Brian2 quantities pass unchanged.
    """
    if isinstance(value, list | tuple) and any(hasattr(item, "has_same_dimensions") for item in value):
        return [plain(item, unit, what) for item in value]
    if not hasattr(value, "has_same_dimensions"):
        return value
    import brian2  # a quantity was passed, so Brian2 is there and loaded

    scale = {"ms": brian2.ms, "mV": brian2.mV, "pA": brian2.pA, "pF": brian2.pF, "nS": brian2.nS,
             "Hz": brian2.Hz, None: 1.0}[unit]  # fmt: skip
    if not brian2.have_same_dimensions(value, scale):
        raise UnitError(f"{what}: expected a quantity in {unit or 'no unit'}, got {value}; convert it or pass a plain number")
    return _as_written(np.asarray(value / scale, np.float64))


def _as_written(numbers: np.ndarray) -> float | np.ndarray:
    """The decimal that was meant, where scaling to SI and back has moved it by an ulp (0.2 nF is 200 pF)."""
    shorter = np.array([float(f"{number:.15g}") for number in numbers.flat]).reshape(numbers.shape)
    meant = np.where(np.isclose(shorter, numbers, rtol=4.5e-16, atol=0.0), shorter, numbers)
    return float(meant) if meant.ndim == 0 else meant
