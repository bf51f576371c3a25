"""What neurons with graded spikes share: when they fire, and how strongly.

Such a neuron has a value, which changes with its input, and a count of what it has sent. In each step it sends the
difference between the two, in multiples of its quantum.
"""

import math
from typing import Any, ClassVar

import numpy as np

from spikesim.description import flag, real, whole
from spikesim.errors import DescriptionError
from spikesim.neurons.model import Neuron

MOST_COUNT = 2.0**53  # whole numbers beyond it are not all floats
LARGEST_BURST = 2**30


def spike_size(value, sent, quantum, least, most, burst):
    """What a neuron sends now; nothing new where value / quantum is infinite or not a number."""
    scaled = value / quantum + 0.5
    wanted = math.floor(min(max(scaled, least), most)) if abs(scaled) < math.inf else sent
    return math.floor(min(max(wanted - sent, -burst), burst))


class Graded(Neuron):
    """Base of the neurons that send the change of a value as graded spikes.

        wanted = floor(value / quantum + 1/2), clipped to [least, most]
        size   = wanted - sent, clipped to [-burst, burst];   sent += size

    | parameter | meaning |
    |-----------|---------|
    | quantum   | what a spike of size 1 stands for |
    | least     | lower bound of ``sent``, a whole number or -inf |
    | most      | upper bound of ``sent``, a whole number or inf |
    | burst     | largest size of a spike, up to 2**30; with 1 spikes are +1 or -1 |
    | averaged  | whether the value is the number of steps so far times a function of the mean input of a step, not of its sum |

    In a step in which value / quantum is not finite nothing is sent, and ``sent`` stays as it is. Numbers beyond 2**53 are not
    counted. In float32 a state holds whole numbers up to 2**24 only, and long sums lose digits: use float64 where sums are
    long.
    """

    GRADED: ClassVar[bool] = True
    quantum: Any = real(default=1.0, above=0.0, varies=True)
    least: Any = real(default=-np.inf, varies=True, infinite=True)
    most: Any = real(default=np.inf, varies=True, infinite=True)
    burst: int = whole(default=1, at_least=1)
    averaged: bool = flag(default=False)

    def check(self) -> None:
        name = type(self).__name__
        for key in ("least", "most"):
            value = getattr(self, key)
            if isinstance(value, float | np.ndarray) and np.any(np.floor(value) != value):
                raise DescriptionError(f"{name}.{key}: expected a whole number of quanta, or infinity, got {value}")
        if isinstance(self.least, float | np.ndarray) and isinstance(self.most, float | np.ndarray):
            _check_order(name, self.least, self.most)
        if self.burst > LARGEST_BURST:
            raise DescriptionError(f"{name}.burst: expected at most {LARGEST_BURST}, got {self.burst}")

    def largest_spike(self) -> int:
        return max(self.burst, int(np.float32(self.burst)))  # rounded as in a state of either precision

    def firing(self) -> dict[str, Any]:
        """The coefficients of `spike_size`."""
        return {"quantum": self.quantum, "least": np.clip(self.least, -MOST_COUNT, MOST_COUNT),
                "most": np.clip(self.most, -MOST_COUNT, MOST_COUNT), "burst": self.burst}  # fmt: skip

    def initial(self):
        return {}


def _check_order(name: str, least: Any, most: Any) -> None:
    if np.ndim(least) and np.ndim(most) and np.shape(least) != np.shape(most):
        raise DescriptionError(f"{name}: least has shape {np.shape(least)}, most {np.shape(most)}")
    if np.any(np.asarray(least) > np.asarray(most)):
        raise DescriptionError(f"{name}: least must not lie above most, got least={least}, most={most}")
