"""From milliseconds to steps."""

import numpy as np

from spikesim.errors import DescriptionError

MOST = 2**53  # steps beyond which not every number of them is a float
TOLERANCE = 1e-6  # of a step: how far off the grid a time may lie and still count as on it


def on_grid(times, dt: float, what: str) -> np.ndarray:
    """``times`` (ms) as whole numbers of steps (int64); raises `DescriptionError` for one between two steps."""
    with np.errstate(over="ignore"):
        steps = np.asarray(times, np.float64) / dt
    if (np.abs(steps) > MOST).any():
        raise DescriptionError(f"{what}: {np.max(np.abs(times)):g} ms is more than {MOST} steps of {dt:g} ms; use a longer dt")
    whole = np.rint(steps)
    off = np.abs(steps - whole) > TOLERANCE * np.maximum(1.0, np.abs(whole) * 1e-3)
    if off.any():
        found = float(np.asarray(times, np.float64)[off].flat[0]) if np.ndim(times) else float(times)
        raise DescriptionError(f"{what}: {found:g} ms is not a multiple of the time step of {dt:g} ms; "
                               f"round it, or choose a dt that divides it")  # fmt: skip
    return whole.astype(np.int64)


def interval_steps(interval: float | None, dt: float, what: str) -> int:
    """An interval (ms) as a number of steps, at least 1; None is every step."""
    if interval is None:
        return 1
    steps = int(on_grid(interval, dt, what))
    if steps < 1:
        raise DescriptionError(f"{what}: {interval:g} ms is shorter than the time step of {dt:g} ms")
    return steps
