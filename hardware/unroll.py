"""Projections unrolled into lists of synapses, the same that the engines draw."""

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from spikesim.connectivity.pairs import PairSource
from spikesim.connectivity.rules import Matrix
from spikesim.connectivity.structured import Conv, Dense, Pool, Structured, parted
from spikesim.connectivity.tables import Delays, draw_columns
from spikesim.description import Distribution
from spikesim.draws import LIMITS, draw_many, encode, guide
from spikesim.errors import DescriptionError, UnsupportedError
from spikesim.network import Network, Projection
from spikesim.random import DELAY, PAIRS, WEIGHT, stream
from spikesim.stimulus import SpikeTrains


class Synapses(NamedTuple):
    """sources, targets: int64, numbers in their populations; weights: float64; delays: int64, steps."""

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delays: np.ndarray


def unroll(network: Network, projection: Projection, *, dt: float, seed: int) -> Synapses:
    """All synapses of one projection of ``network``; synapses of weight 0 are left out where they will never be anything else."""
    if isinstance(projection.rule, Dense):
        given = projection.rule.weights
        sources, targets = np.nonzero(given if projection.plasticity is None else np.ones(given.shape))
        weights = projection.rule.weights[sources, targets] * projection.weight
        numbers = np.arange(len(sources))
    elif isinstance(projection.rule, Conv | Pool):
        source_shape, rule = network.shape(projection.source), projection.rule
        conv = rule.as_conv(source_shape, projection.name) if isinstance(rule, Pool) else rule
        sources, targets, weights = unrolled(conv, source_shape, network.shape(projection.target))
        weights = weights * projection.weight
        numbers = np.arange(len(sources))
    elif isinstance(projection.rule, Structured):
        raise UnsupportedError(f"projection {projection.name!r}: {type(projection.rule).__name__} cannot be mapped onto a chip; "
                               "give its synapses as a PairList")  # fmt: skip
    else:
        sources, targets, weights, numbers = _drawn(network, projection, seed)
    delays = _delays(network, projection, numbers, dt, seed)
    kept = (weights != 0.0) | (projection.plasticity is not None)
    source, target = projection.source, projection.target
    made = source.start + source.step * sources, target.start + target.step * targets, weights, delays
    return Synapses(*(array[kept] for array in made)) if not kept.all() else Synapses(*made)


def refuse_sizes(trains: SpikeTrains, what: str) -> None:
    """Raise `UnsupportedError` for graded spikes, which TrueNorth has not."""
    if trains.sizes is not None and (trains.sizes != 1).any():
        raise UnsupportedError(f"{what}: its SpikeTrains have sizes, a spike of TrueNorth has none; leave them out, or send many spikes, "
                               "each in a tick or on a line of its own")  # fmt: skip


def whole_steps(times: Any, dt: float, what: str) -> np.ndarray:
    """Times (ms) as steps, int64; raises `DescriptionError` for one between two steps."""
    steps = np.rint(np.asarray(times) / dt).astype(np.int64)
    off = np.abs(steps * dt - times) > 1e-6 * dt * np.maximum(1, np.abs(steps))
    if np.any(off):
        raise DescriptionError(
            f"{what}: {np.ravel(times)[np.ravel(off)][0]:g} ms is not a multiple of the time step of {dt:g} ms; change dt"
        )
    return steps


def _index(network: Network, projection: Projection) -> int:
    return list(network.projections).index(projection.name)


def _drawn(network: Network, projection: Projection, seed: int) -> tuple[np.ndarray, ...]:
    source, target, index = projection.source, projection.target, _index(network, projection)
    pairs = PairSource(projection.rule, np.asarray(source.ids), np.asarray(target.ids),
                       same_population=source.population == target.population, seed=seed, stream=stream(PAIRS, index))  # fmt: skip
    chunks = [[array.copy() for array in chunk] for chunk in pairs.chunks(0, len(target))]
    sources, targets, numbers = (np.concatenate([chunk[k] for chunk in chunks] or [np.empty(0, np.int64)]) for k in range(3))
    weight = projection.rule.weights.weights * projection.weight if isinstance(projection.rule, Matrix) else projection.weight
    weights = np.empty(len(numbers))
    draw_many(*encode(weight), np.uint64(seed), stream(WEIGHT, index), numbers, weights)
    return sources, targets, weights, numbers


def _delays(network: Network, projection: Projection, numbers: np.ndarray, dt: float, seed: int) -> np.ndarray:
    delay = projection.delay
    if not isinstance(delay, Distribution):
        steps = whole_steps(delay, dt, f"projection {projection.name!r}: delay")
        return np.full(len(numbers), int(steps)) if steps.ndim == 0 else steps.reshape(-1)[numbers]
    low, high = (int(np.floor(d / dt + 0.5)) for d in delay.support())
    limits = np.floor(delay.cdf((np.arange(low, high) + 0.5) * dt) * 2.0**32).astype(np.uint64)
    out = np.empty(len(numbers), np.int64)
    told = Delays(LIMITS, np.arange(low, high + 1), low, limits, guide(limits), stream(DELAY, _index(network, projection)))
    draw_columns(told, numbers, np.uint64(seed), np.arange(high + 1), out)
    return out


def unrolled(conv: Conv, source_shape: tuple[int, ...], target_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sources, targets, weights) of a convolution between populations of these shapes, place by place of the kernel."""
    last = conv.channels_last
    (channels_in, space), (channels_out, places) = parted(source_shape, last), parted(target_shape, last)
    shape, out = (channels_in, *space), (channels_out, *places)
    outputs, inputs = conv.weights.shape[0] // conv.groups, conv.weights.shape[1]
    channels = np.arange(channels_out)
    first = channels // outputs * inputs  # the first input channel of each output channel's group
    found = []
    for channel, *offset in product(range(inputs), *map(range, conv.weights.shape[2:])):
        place = [
            np.arange(n) * s - p + o * d for n, s, p, o, d in zip(places, conv.stride, conv.padding, offset, conv.dilation, strict=True)
        ]
        inside = [np.flatnonzero((at >= 0) & (at < n)) for at, n in zip(place, space, strict=True)]
        to = np.ravel_multi_index(np.ix_(channels, *inside), out)
        since = np.ravel_multi_index(np.ix_(first + channel, *(at[i] for at, i in zip(place, inside, strict=True))), shape)
        weight = conv.weights[(slice(None), channel, *offset)].reshape(-1, *(1,) * len(places))
        found.append((since.ravel(), to.ravel(), np.broadcast_to(weight, to.shape).ravel()))
    sources, targets, weights = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    return _neurons(sources, shape, last), _neurons(targets, out, last), weights


def _neurons(numbers: np.ndarray, shape: tuple[int, ...], channels_last: bool) -> np.ndarray:
    """Numbers in a value of (channels, *space) as those of the neurons that hold it."""
    if not channels_last:
        return numbers
    channel, place = np.divmod(numbers, int(np.prod(shape[1:])))
    return place * shape[0] + channel
