"""The synapses of a projection one by one, as a mapper needs them: whole weights and whole delays in ticks."""

from typing import NamedTuple

import numpy as np

from spikesim.connectivity.rules import AllToAll, Matrix, OneToOne, PairList
from spikesim.connectivity.structured import Conv, Dense, Pool, Structured
from spikesim.description import Distribution
from spikesim.errors import UnsupportedError
from spikesim.hardware.unroll import unrolled
from spikesim.network import Network, Projection
from spikesim.population import View


class Synapses(NamedTuple):
    """int64 vectors: neurons within the source's and the target's population, weights, delays (ticks)."""

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delays: np.ndarray


def synapses_of(network: Network, projection: Projection) -> Synapses:
    """All synapses of ``projection`` whose weight is not zero."""
    what = f"projection {projection.name!r}"
    if isinstance(projection.weight, Distribution) or isinstance(projection.delay, Distribution):
        raise UnsupportedError(f"{what}: weights and delays drawn at random cannot be mapped; draw whole numbers first and give arrays")
    rule = projection.rule
    source, target = projection.source, projection.target
    if isinstance(rule, PairList):
        rows, columns, own = rule.sources, rule.targets, 1.0
    elif isinstance(rule, Matrix):
        rows, columns, own = rule.weights.sources, rule.weights.targets, rule.weights.weights
    elif isinstance(rule, OneToOne):
        rows = columns = np.arange(len(source))
        own = 1.0
    elif isinstance(rule, AllToAll | Dense):
        rows, columns = (each.reshape(-1) for each in np.indices((len(source), len(target))))
        own = np.reshape(rule.weights, -1) if isinstance(rule, Dense) else 1.0
        if isinstance(rule, AllToAll) and not rule.autapses and source.population == target.population:
            own = (np.asarray(source.ids)[rows] != np.asarray(target.ids)[columns]) * 1.0
    elif isinstance(rule, Conv | Pool):
        conv = rule.as_conv(network.shape(source), what) if isinstance(rule, Pool) else rule
        rows, columns, own = unrolled(conv, network.shape(source), network.shape(target))
    elif isinstance(rule, Structured):
        raise UnsupportedError(f"{what}: {type(rule).__name__} cannot be mapped; give its synapses as a PairList")
    else:
        raise UnsupportedError(f"{what}: {type(rule).__name__} draws its pairs when a network is compiled; draw them first "
                               "and give a PairList or a Matrix")  # fmt: skip
    weight, delay = (np.asarray(value).reshape(-1) if np.ndim(value) else value for value in (projection.weight, projection.delay))
    weights = np.broadcast_to(np.asarray(own) * weight, len(rows))
    kept = weights != 0.0
    made = Synapses(_ids(source, rows[kept]), _ids(target, columns[kept]), _whole(weights[kept], f"{what}: weight"),
                    _whole(np.broadcast_to(delay, len(rows))[kept], f"{what}: delay"))  # fmt: skip
    return made


def _ids(view: View, numbers: np.ndarray) -> np.ndarray:
    return (view.start + view.step * numbers).astype(np.int64)


def _whole(values: np.ndarray, what: str) -> np.ndarray:
    rounded = np.rint(values)
    if not np.array_equal(rounded, values):
        bad = values[rounded != values][0]
        raise UnsupportedError(f"{what}: TrueNorth has whole numbers only, got {bad:g}; the nearest is {np.rint(bad):g}, "
                               "or scale weights and thresholds by a common factor")  # fmt: skip
    return rounded.astype(np.int64)
