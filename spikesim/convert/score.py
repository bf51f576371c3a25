"""How good outputs are after each step: accuracy, or relative error, beside what the module itself reaches."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikesim.convert.operators import Shape
from spikesim.description import frozen_array
from spikesim.errors import DescriptionError

ACCURACY, ERROR = "accuracy", "relative error"
WITHIN = 0.01  # of the metric: one percentage point of accuracy, or 0.01 of relative error
ROUNDING = 1e-12


@dataclass(frozen=True)
class Score:
    """The score of a converted network.

    metric: "accuracy", the share of right predictions, or "relative error", the L2 norm of outputs less targets over that of the
    targets (absolute where these are all zero); ann: of the module, 0 where its own outputs are the targets; snn: after each step;
    agreement: the share of predictions equal to the module's after each step, None where outputs are not classes; within: the first
    step from which on the SNN is never more than 0.01 worse than the module, None if it is so at the end.
    """

    metric: str
    ann: float
    snn: tuple[float, ...]
    agreement: tuple[float, ...] | None
    within: int | None


def checked_labels(labels: Any, images: int, shape: Shape) -> np.ndarray | None:
    """Labels as int64 classes (images, *shape[:-1]), or targets as float64 (images, *shape)."""
    if labels is None:
        return None
    given = frozen_array(labels.detach().cpu().numpy() if hasattr(labels, "detach") else labels, "compare: labels")
    if given.shape == (images, *shape) or (shape == (1,) and given.shape == (images,)):
        if not np.isfinite(given).all():
            raise DescriptionError("compare: labels: expected finite targets, found nan or infinity")
        return given.reshape(images, *shape)
    if given.shape != (images, *shape[:-1]):
        raise DescriptionError(f"compare: labels: expected one class for each output, {(images, *shape[:-1])}, or targets "
                               f"{(images, *shape)}, got shape {given.shape}")  # fmt: skip
    classes = frozen_array(given, "compare: labels", dtype=np.int64)
    if classes.min() < 0 or classes.max() >= shape[-1]:
        raise DescriptionError(f"compare: labels: expected classes from 0 to {shape[-1] - 1}, got {classes.min()} to {classes.max()}")
    return classes


def score(module: np.ndarray, outputs: np.ndarray, labels: np.ndarray | None) -> Score:
    """The score of outputs (steps, n, *shape) beside the module's (n, *shape), for labels from `checked_labels`.

    Predictions are the largest along the last axis; without labels they are compared where outputs are (n, classes).
    """
    if labels is not None and labels.ndim < module.ndim:
        predictions = outputs.argmax(axis=-1)
        shares = tuple(float((step == labels).mean()) for step in predictions)
        ann = float((module.argmax(axis=-1) == labels).mean())
        return Score(ACCURACY, ann, shares, _agreement(predictions, module), _within([ann - share for share in shares]))
    targets = module if labels is None else labels
    errors = tuple(relative_error(step, targets) for step in outputs)
    ann = relative_error(module, targets)
    classes = labels is None and module.ndim == 2 and module.shape[1] > 1
    agreement = _agreement(outputs.argmax(axis=-1), module) if classes else None
    return Score(ERROR, ann, errors, agreement, _within([error - ann for error in errors]))


def relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """``|found - wanted| / |wanted|``, L2 norms over everything."""
    return float(np.linalg.norm(found - wanted) / (np.linalg.norm(wanted) or 1.0))


def _agreement(predictions: np.ndarray, module: np.ndarray) -> tuple[float, ...]:
    expected = module.argmax(axis=-1)
    return tuple(float((step == expected).mean()) for step in predictions)


def _within(worse: list[float]) -> int | None:
    """The first step from which on none is worse by more than `WITHIN`."""
    beyond = [step for step, by in enumerate(worse, 1) if not by <= WITHIN + ROUNDING]
    first = beyond[-1] + 1 if beyond else 1
    return first if first <= len(worse) else None
