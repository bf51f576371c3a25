"""What a description is: frozen, validated plain data, equal when equal.

Everything a user writes down (networks, models, rules, distributions, ...) derives from `Description`.
Fields made with `real` carry their unit and their allowed range, and are checked when the object is made.
"""

import inspect
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import wraps
from typing import Any, ClassVar, dataclass_transform

import numpy as np

from spikesim.errors import DescriptionError, KindError, UnitError, unknown_name
from spikesim.units import plain


def real(
    *,
    default: Any = MISSING,
    unit: str | None = None,
    above: float = -np.inf,
    at_least: float = -np.inf,
    at_most: float = np.inf,
    varies: bool = False,
    infinite: bool = False,
) -> Any:
    """A number field in ``unit`` within the given bounds; ``varies`` admits arrays and distributions."""
    limits = {"unit": unit, "above": above, "at_least": at_least, "at_most": at_most,
              "varies": varies, "infinite": infinite}  # fmt: skip
    return field(default=default, metadata={"real": limits})


def whole(*, default: Any = MISSING, at_least: int = 0) -> Any:
    """An integer field, at least ``at_least``."""
    return field(default=default, metadata={"whole": at_least})


def flag(*, default: bool) -> Any:
    """A field that is True or False."""
    return field(default=default, metadata={"flag": True})


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(real, whole, flag, field))
class Description:
    """Base of all descriptions: a frozen dataclass with checked fields and equality by value.

    Subclasses become dataclasses on definition and are known by name to `spikesim.storage`.
    Rules between fields go into `check`.
    """

    registry: ClassVar[dict[str, type["Description"]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, eq=False, repr=False)(cls)
        cls.__init__ = _named_errors(cls.__init__, cls)
        Description.registry[cls.__name__] = cls

    def __post_init__(self) -> None:
        for entry in fields(self):  # type: ignore[arg-type]
            value = _checked(entry, getattr(self, entry.name), f"{type(self).__name__}.{entry.name}")
            object.__setattr__(self, entry.name, value)
        self.check()

    def check(self) -> None:
        """Raise `DescriptionError` if the fields contradict each other."""

    def values(self) -> dict[str, Any]:
        """The fields by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and same(self.values(), other.values())  # type: ignore[attr-defined]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Description":
        return self  # nothing in it can change

    __hash__ = None  # type: ignore[assignment]  # equality looks into arrays

    def __repr__(self) -> str:
        shown = (f"{e.name}={_brief(getattr(self, e.name))}" for e in fields(self)  # type: ignore[arg-type]
                 if not same(getattr(self, e.name), _default(e)))  # fmt: skip
        return f"{type(self).__name__}({', '.join(shown)})"


def same(a: Any, b: Any) -> bool:
    """Whether two described values are equal, looking into arrays, sequences and mappings."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def frozen_array(value: Any, what: str, *, dtype: type = np.float64, unit: str | None = None) -> np.ndarray:
    """A copy of ``value``, in ``unit``, as an array of numbers that nobody can write to; raises `KindError` if it is not one."""
    try:
        given = np.asarray(plain(value, unit, what))
        if given.dtype.kind not in "iuf":
            raise TypeError(f"dtype {given.dtype}")
        with np.errstate(all="ignore"):
            array = given.astype(dtype, copy=False)
        if np.issubdtype(dtype, np.integer) and not np.array_equal(given, array):
            raise TypeError("numbers that are not whole, or too large")
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, UnitError):
            raise
        raise KindError(f"{what}: expected an array of numbers, got {type(value).__name__} ({error})") from None
    if array.size:
        return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)  # a copy that cannot be made writable
    empty = array.copy()
    empty.setflags(write=False)
    return empty


def checked_shape(value: Any, shapes: tuple[tuple[int, ...], ...], what: str, owner: str) -> None:
    """Raise `DescriptionError` if ``value`` is an array of none of ``shapes``."""
    if isinstance(value, np.ndarray) and value.shape not in shapes:
        wanted = " or ".join(map(str, dict.fromkeys(shapes)))
        raise DescriptionError(f"{what} has {value.size} values for {owner}: expected shape {wanted}, got {value.shape}")


def limits(unit: str | None, *, at_least: float = -np.inf, above: float = -np.inf, at_most: float = np.inf,
           varies: bool = True) -> dict[str, Any]:  # fmt: skip
    """The bounds of a finite number for `checked_number`; ``varies`` admits arrays and distributions."""
    return {"unit": unit, "above": above, "at_least": at_least, "at_most": at_most, "varies": varies, "infinite": False}


def checked_number(value: Any, what: str, limits: Mapping[str, Any]) -> Any:
    """``value`` as float, frozen array or distribution, checked against ``limits`` (see `real`)."""
    if isinstance(value, Distribution):
        if not limits["varies"]:
            raise KindError(f"{what}: expected one number, got {value!r}")
        low, high = value.support()
        _within(np.array([low, high]), what, limits, f"{value!r}, which reaches from {low:g} to {high:g}")
        return value
    if isinstance(value, bool | np.bool_ | str | bytes) or value is None:
        raise KindError(f"{what}: expected a number, got {value!r}")
    array = frozen_array(value, what, unit=limits["unit"])
    if array.ndim and not limits["varies"]:
        raise KindError(f"{what}: expected one number, got an array of shape {array.shape}")
    _within(array, what, limits, f"{float(array):g}" if array.ndim == 0 else "")
    return float(array) if array.ndim == 0 else array


def _within(array: np.ndarray, what: str, limits: Mapping[str, Any], found: str) -> None:
    """Raise `DescriptionError` naming the first offending value."""
    low, high = (array.min(), array.max()) if array.size else (0.0, 0.0)  # nan, if there is one
    if limits["above"] < low >= limits["at_least"] and high <= limits["at_most"] and np.isfinite(low) and np.isfinite(high):
        return
    tests = (
        (np.isnan(array), "a number"),
        (np.isinf(array) & (not limits["infinite"]), "a finite number"),
        (array <= limits["above"], f"more than {limits['above']:g}"),
        (array < limits["at_least"], f"at least {limits['at_least']:g}"),
        (array > limits["at_most"], f"at most {limits['at_most']:g}"),
    )
    for bad, wanted in tests:
        if limits["above"] == -np.inf and wanted.startswith("more than"):
            continue
        if bad.any():
            index = np.unravel_index(int(np.argmax(bad)), array.shape)
            place = f"{array[index]:g} at index {', '.join(map(str, index))}" if array.ndim else f"{float(array):g}"
            unit = f" {limits['unit']}" if limits["unit"] else ""
            raise DescriptionError(f"{what}: expected {wanted}{unit}, got {found or place}")


def _checked(entry: Field, value: Any, what: str) -> Any:
    if "real" in entry.metadata:
        return checked_number(value, what, entry.metadata["real"])
    if "flag" in entry.metadata and not isinstance(value, bool | np.bool_):
        raise KindError(f"{what}: expected True or False, got {value!r}")
    if "whole" in entry.metadata:
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise KindError(f"{what}: expected a whole number, got {value!r}")
        if value < entry.metadata["whole"]:
            raise DescriptionError(f"{what}: expected at least {entry.metadata['whole']}, got {value}")
        return int(value)
    return value


def _named_errors(original: Any, cls: type) -> Any:
    """Wrap ``__init__`` so that unknown and missing parameters are named, with the nearest match."""
    signature = inspect.signature(original)
    names = list(signature.parameters)[1:]

    @wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in names:
                raise unknown_name("parameter", name, names, where=cls.__name__)
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError as error:
            raise KindError(f"{cls.__name__}: {error}; parameters: {', '.join(names)}") from None
        original(self, *args, **kwargs)

    return __init__


def _default(entry: Field) -> Any:
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        return repr(dict(value))
    return f"<array {value.shape}>" if isinstance(value, np.ndarray) else repr(value)


class Distribution(Description):
    """Base of the random distributions that may stand in for a number (see `spikesim.distributions`)."""

    def support(self) -> tuple[float, float]:
        """The least and the greatest value that can be drawn."""
        raise NotImplementedError

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """The probability of a value of at most ``x``."""
        raise NotImplementedError
