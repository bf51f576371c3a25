"""Weights of a projection as whole numbers of few bits with one exponent."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikesim.connectivity.rules import PairList
from spikesim.connectivity.structured import Conv, Dense, Pool
from spikesim.errors import DescriptionError, UnsupportedError
from spikesim.hardware.loihi.weights import MIXED, RANGES, sign_mode, stored
from spikesim.hardware.quantization import ProjectionError
from spikesim.hardware.unroll import unroll, whole_steps
from spikesim.network import Network, Projection

LEAST_EXPONENT, LARGEST_EXPONENT = -8, 7
LONGEST_DELAY = 63  # steps


@dataclass(frozen=True)
class RealWeights:
    """The weights of one projection in its own units: ``values`` (n,) onto neurons ``targets`` (n,) of the target population.

    rule: the rule that holds them, with its own shape of weights; delays: int64 steps, one or one for each; strongest: the largest size of
    the source's spikes, which multiplies the weights.
    """

    rule: Any
    values: np.ndarray
    targets: np.ndarray
    delays: np.ndarray
    strongest: int = 1


def real_weights(network: Network, projection: Projection, alike: np.ndarray, *, dt: float, seed: int) -> RealWeights:
    """The weights of a projection; ``alike``: a factor of each target neuron, which must be one for each channel to keep a `Conv`."""
    rule: Any = projection.rule
    target = np.asarray(projection.target.ids)
    if isinstance(rule, Pool):
        rule = rule.as_conv(network.shape(projection.source), projection.name)
    if isinstance(rule, Dense | Conv):
        delay = whole_steps(projection.delay, dt, f"projection {projection.name!r}: delay")
    if isinstance(rule, Dense):
        return RealWeights(rule, (rule.weights * projection.weight).ravel(), np.tile(target, len(rule.weights)), delay)
    if isinstance(rule, Conv):
        by_channel = _by_channel(target, rule)
        channels = alike[by_channel]
        if np.all(channels == channels[:, :1]):
            first = by_channel[:, 0]
            return RealWeights(rule, (rule.weights * projection.weight).ravel(), np.repeat(first, rule.weights[0].size), delay)
    found = unroll(network, projection, dt=dt, seed=seed)
    return RealWeights(PairList(found.sources, found.targets), found.weights, found.targets, found.delays)


def _by_channel(target: np.ndarray, conv: Conv) -> np.ndarray:
    """The target neurons of a convolution, (channels, places)."""
    channels = conv.weights.shape[0]
    return target.reshape(-1, channels).T if conv.channels_last else target.reshape(channels, -1)


def exponent_of(largest: float, mode: str) -> int:
    """The least exponent with which a weight of that size fits."""
    if largest <= 0.0:
        return 0
    most = max(abs(RANGES[mode][0] + (mode == MIXED)), RANGES[mode][1]) - (mode == MIXED)
    return int(np.clip(np.ceil(np.log2(largest / most)), LEAST_EXPONENT, LARGEST_EXPONENT))


def fixed(values: np.ndarray, bits: int) -> tuple[np.ndarray, int]:
    """(whole numbers, exponent): the nearest weights of so many bits to real ``values``."""
    mode = sign_mode(values)
    exponent = exponent_of(float(np.abs(values).max(initial=0.0)), mode)
    quantum = 2 ** (8 - bits + (mode == MIXED))
    low, high = RANGES[mode]
    whole = np.clip(np.rint(values / 2.0**exponent / quantum) * quantum, -(-low // quantum) * quantum, high // quantum * quantum)
    return stored(whole, bits=bits, mode=mode), exponent


def squared_error(values: np.ndarray, bits: int) -> float:
    """The squared relative error of `fixed`."""
    whole, exponent = fixed(values, bits)
    return float(((whole * 2.0**exponent - values) ** 2).sum() / max((values**2).sum(), 1e-300))


def projection_error(values: np.ndarray, bits: int) -> ProjectionError:
    """What `fixed` does to ``values``."""
    whole, exponent = fixed(values, bits)
    off = np.abs(whole * 2.0**exponent - values)
    largest = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    limit = 2.0**exponent * 2 ** (9 - bits)
    return ProjectionError(float(np.sqrt(squared_error(values, bits))), float(off.max(initial=0.0)) / largest,
                           int(((whole == 0) & (values != 0)).sum()), int((off > limit).sum()), len(values), exponent, bits)  # fmt: skip


def connect(made: Network, projection: Projection, real: RealWeights, whole: np.ndarray, receptor: str, late: int) -> str | None:
    """Add the integer projection; returns what had to be done about its delay."""
    delays = real.delays + late
    note = None
    if np.any(delays < 1):
        delays, note = np.maximum(delays, 1), f"{projection.name}: without delay; on the chip its spikes arrive in the next step"
    if np.any(delays > LONGEST_DELAY):
        raise UnsupportedError(f"projection {projection.name!r}: a delay of {int(np.max(delays))} steps, the chip has {LONGEST_DELAY}; "
                               "choose a longer dt, or pass the spikes on by relay neurons")  # fmt: skip
    source, target = made.populations[projection.source.population], made.populations[projection.target.population]
    if isinstance(real.rule, PairList):
        if len(whole):
            made.project(source, target, real.rule, weight=whole.astype(float), delay=delays.astype(float), receptor=receptor,
                         name=projection.name)  # fmt: skip
        return note
    rule = replace(real.rule, weights=whole.reshape(real.rule.weights.shape).astype(float))
    ends = [each if view == len(each) else each[ids.start : ids.stop : ids.step] for each, view, ids in (
        (source, len(projection.source), projection.source.ids), (target, len(projection.target), projection.target.ids))]  # fmt: skip
    made.project(*ends, rule, delay=float(delays), receptor=receptor, name=projection.name)
    return note


def bits_of_projection(bits: Any, name: str) -> int:
    """The bits asked for the weights of a projection."""
    found = bits.get(name, 8) if hasattr(bits, "get") else bits
    if isinstance(found, bool) or not isinstance(found, int | np.integer) or not 1 <= found <= 8:
        raise DescriptionError(f"quantize: bits of projection {name!r}: expected 1 to 8, got {found!r}")
    return int(found)
