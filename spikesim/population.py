"""Populations and slices of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from spikesim.description import Description, Distribution, checked_number, checked_shape, limits, whole
from spikesim.errors import DescriptionError, KindError, unknown_name
from spikesim.neurons.model import Neuron
from spikesim.stimulus import Source, SpikeTrains


class View(Description):
    """A slice of a population: neurons start, start + step, ... below stop."""

    population: str
    start: int = whole()
    stop: int = whole(at_least=1)
    step: int = whole(default=1, at_least=1)

    def check(self) -> None:
        if self.start >= self.stop or self.stop >= 2**31:
            raise DescriptionError(f"view of {self.population!r}: neurons {self.start} to {self.stop} are none, or too many")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ids(self) -> range:
        """The neurons' numbers in their population."""
        return range(self.start, self.stop, self.step)

    @cached_property
    def numbers(self) -> np.ndarray:
        """The same as int64, not to be written to."""
        numbers = np.arange(self.start, self.stop, self.step)
        numbers.flags.writeable = False
        return numbers

    def __str__(self) -> str:
        return f"{self.population}[{self.start}:{self.stop}{f':{self.step}' if self.step > 1 else ''}]"


class Population(Description):
    """Neurons (or spike sources) of one model. ``population[10:20]`` is a `View` of some of them."""

    name: str
    shape: tuple[int, ...]
    model: Neuron | Source
    initial: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        _identifier(self.name, "population")
        shape: Any = (self.shape,) if isinstance(self.shape, int | np.integer) else self.shape
        if not isinstance(shape, Sequence) or not shape or not all(
            isinstance(n, int | np.integer) and not isinstance(n, bool) for n in shape):  # fmt: skip
            raise KindError(f"population {self.name!r}: expected a size or a shape of whole numbers, got {self.shape!r}")
        if min(shape) < 1 or math.prod(shape) >= 2**31:
            raise DescriptionError(f"population {self.name!r}: expected a size from 1 to {2**31 - 1}, got {self.shape!r}")
        object.__setattr__(self, "shape", tuple(int(n) for n in shape))
        if not isinstance(self.model, Neuron | Source):
            raise KindError(f"population {self.name!r}: expected a model such as LIF(), IF() or Poisson(rate=10.0), got {self.model!r}")
        self._check_values(self.model, f"population {self.name!r}")
        self._check_initial()

    def _check_values(self, model: Description, what: str) -> None:
        """Arrays of per-neuron values must have one value for each neuron."""
        for key, value in model.values().items():
            if not isinstance(model, SpikeTrains):
                checked_shape(value, ((len(self),), self.shape), f"{what}: {key}", f"{len(self)} neurons")
            if isinstance(value, Mapping):
                for name, item in value.items():
                    if isinstance(item, Description) and not isinstance(item, Distribution):
                        self._check_values(item, f"{what}: receptor {name!r}")
                    else:
                        checked_shape(item, ((len(self),), self.shape), f"{what}: {key} {name!r}", f"{len(self)} neurons")
        if isinstance(model, SpikeTrains) and len(model.ids) and model.ids.max() >= len(self):
            raise DescriptionError(f"{what}: SpikeTrains.ids must lie in 0..{len(self) - 1}, got {model.ids.max()}")

    def _check_initial(self) -> None:
        if not isinstance(self.initial, Mapping):
            raise KindError(f"population {self.name!r}: initial must map variables to values, got {self.initial!r}")
        known = self.model.variables() if isinstance(self.model, Neuron) else ()
        checked = {}
        for key, value in self.initial.items():
            what = f"population {self.name!r}: initial {key}"
            if key not in known:
                raise unknown_name("variable", key, known, where=f"population {self.name!r}: initial")
            checked[key] = checked_number(value, what, limits("mV" if key == "v" else None))
            checked_shape(checked[key], ((len(self),), self.shape), what, f"{len(self)} neurons")
            self.model.check_initial(key, checked[key], what)  # type: ignore[union-attr]
        object.__setattr__(self, "initial", MappingProxyType(checked))

    def __len__(self) -> int:
        return math.prod(self.shape)

    def __getitem__(self, key: slice) -> View:
        if not isinstance(key, slice):
            raise KindError(f"population {self.name!r}: take a slice such as [0:10], got [{key!r}]")
        try:
            start, stop, step = key.indices(len(self))
        except (TypeError, ValueError) as error:
            raise KindError(f"population {self.name!r}: take a slice such as [0:10] ({error})") from None
        if step < 1 or start >= stop:
            asked = f"[{key.start}:{key.stop}:{key.step}]"
            raise DescriptionError(f"population {self.name!r}: slice {asked} holds none of its {len(self)} neurons")
        return View(self.name, start, stop, step)


def overlap(source: View, target: View) -> int:
    """The number of neurons that lie in both views."""
    if source.population != target.population:
        return 0
    if source.step == target.step == 1:
        return max(0, min(source.stop, target.stop) - max(source.start, target.start))
    return len(np.intersect1d(source.numbers, target.numbers))


def _identifier(name: Any, kind: str) -> None:
    if not isinstance(name, str) or not name or any(sign in name for sign in "/[]") or name != name.strip(" ."):
        raise KindError(f"{kind}: a name is a text without / [ ], and without spaces and dots at its ends, got {name!r}")
