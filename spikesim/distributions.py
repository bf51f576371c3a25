"""Distributions that may stand in for a number: weights, delays, parameters, initial values.

A distribution is drawn by counter (see `spikesim.random`), so that value k of a quantity is the same
however the network is divided. Every distribution states the least and greatest value it can ever give, and the
probability (``cdf``) of at most x.
"""

import math

import numpy as np

from spikesim.description import Distribution, real
from spikesim.errors import DescriptionError

# a standard normal made of one 32-bit uniform by Box & Muller cannot be larger than this
LARGEST_NORMAL = math.sqrt(-2.0 * math.log(0.5 * 2.0**-32))
LEAST_MASS = 1e-3  # a clipped normal is redrawn until it falls inside, so inside must not be too rare


class Uniform(Distribution):
    """Uniform on [low, high)."""

    low: float = real()
    high: float = real()

    def check(self) -> None:
        if self.high < self.low:
            raise DescriptionError(f"Uniform: expected low <= high, got low={self.low:g}, high={self.high:g}")
        if math.isinf(self.high - self.low):
            raise DescriptionError(f"Uniform: from low={self.low:g} to high={self.high:g} is wider than the largest float")

    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def cdf(self, x: np.ndarray) -> np.ndarray:
        width = self.high - self.low
        return np.clip((x - self.low) / width, 0.0, 1.0) if width else (x >= self.low).astype(np.float64)


class Normal(Distribution):
    """Normal with mean ``mean`` and standard deviation ``sd`` (tails end at 6.77 sd)."""

    mean: float = real()
    sd: float = real(at_least=0.0)

    def support(self) -> tuple[float, float]:
        return self.mean - LARGEST_NORMAL * self.sd, self.mean + LARGEST_NORMAL * self.sd

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return _cdf(x, self.mean, self.sd)


class ClippedNormal(Distribution):
    """Normal, redrawn until it falls into [low, high] (a truncated normal)."""

    mean: float = real()
    sd: float = real(at_least=0.0)
    low: float = real(default=-np.inf, infinite=True)
    high: float = real(default=np.inf, infinite=True)

    def check(self) -> None:
        if self.sd == 0.0:
            mass = float(self.low <= self.mean <= self.high)
        else:
            mass = _standard((self.high - self.mean) / self.sd) - _standard((self.low - self.mean) / self.sd)
        if mass < LEAST_MASS:
            raise DescriptionError(
                f"ClippedNormal: only {max(mass, 0.0):.2g} of the normal({self.mean:g}, {self.sd:g}) lies in "
                f"[{self.low:g}, {self.high:g}]; widen the interval to hold at least {LEAST_MASS:g}"
            )

    def support(self) -> tuple[float, float]:
        reach = LARGEST_NORMAL * self.sd
        return max(self.low, self.mean - reach), min(self.high, self.mean + reach)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        if self.sd == 0.0:
            return _cdf(x, self.mean, 0.0)
        at_low, at_high, at_x = (_cdf(np.asarray(bound), self.mean, self.sd) for bound in (self.low, self.high, x))
        return np.clip((at_x - at_low) / (at_high - at_low), 0.0, 1.0)


class LogNormal(Distribution):
    """exp of a normal with mean ``mu`` and standard deviation ``sigma`` (of the logarithm)."""

    mu: float = real()
    sigma: float = real(at_least=0.0)

    def check(self) -> None:
        if self.mu + LARGEST_NORMAL * self.sigma > 700.0:
            raise DescriptionError(f"LogNormal: mu={self.mu:g}, sigma={self.sigma:g} reaches beyond the largest float")

    def support(self) -> tuple[float, float]:
        reach = LARGEST_NORMAL * self.sigma
        return math.exp(self.mu - reach), math.exp(self.mu + reach)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(x > 0.0, _cdf(np.log(x), self.mu, self.sigma), 0.0)


def _standard(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def _cdf(x: np.ndarray, mean: float, sd: float) -> np.ndarray:
    """The probability that a normal number is at most x."""
    from scipy.special import ndtr  # scipy takes long to load

    return ndtr((x - mean) / sd) if sd else (x >= mean).astype(np.float64)


def support(value: float | np.ndarray | Distribution) -> tuple[float, float]:
    """The least and greatest number that a constant, array or distribution can give."""
    if isinstance(value, Distribution):
        return value.support()
    array = np.asarray(value)
    return (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
