"""Calibration: the firing threshold of each channel, from what the network does on data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikesim.convert.graph import Stage, run_stages


@dataclass(frozen=True)
class Calibrated:
    """The thresholds of one spiking stage, one for each channel, and the share of activations above them."""

    thresholds: np.ndarray
    clipped: float


def calibrate(stages: Sequence[Stage], images: np.ndarray, *, percentile: float = 99.9) -> list[Calibrated]:
    """Thresholds for all spiking stages: the given percentile of each channel's positive activations.

    A threshold is the largest rate a neuron can express, one spike a step, so larger activations are clipped; a
    robust percentile clips few and leaves the rest a finer resolution (Rueckauer et al. 2017). A channel that is
    silent on the data takes the threshold of its layer.
    """
    found = []
    values = np.asarray(images, np.float64)
    for stage in stages[:-1]:
        values = run_stages([replace(stage, in_shape=values.shape[1:])], values)
        channels = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
        of_layer = _percentile(values.reshape(-1), percentile) or 1.0
        thresholds = np.array([_percentile(channel, percentile) or of_layer for channel in channels])
        found.append(Calibrated(thresholds, float(np.mean(channels > thresholds[:, None]))))
    return found


def _percentile(values: np.ndarray, percentile: float) -> float:
    positive = values[values > 0.0]
    return float(np.percentile(positive, percentile)) if len(positive) else 0.0
