"""Pictures of a comparison with matplotlib, which is loaded when the first one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spikesim.convert.comparison import Comparison
from spikesim.convert.score import ACCURACY
from spikesim.convert.split import PARTS
from spikesim.convert.tables import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#3f87c9", "#d9822b", "#4f9d69", "#b5566b")  # in between black and white, so that they are seen on both
BLACK = "#010101"  # of text and axes; a page may put its own colour in its place
ROW, ROWS_LEAST = 0.32, 2.2  # inches


def over_steps(comparison: Comparison) -> Figure:
    """The score after each step beside the module's, and the share of predictions that agree."""
    from matplotlib.figure import Figure

    found = comparison.score
    steps = np.arange(1, len(found.snn) + 1)
    share = found.metric == ACCURACY
    factor = 100.0 if share else 1.0
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, factor * np.array(found.snn), color=COLOURS[0], marker=".", label="SNN")
    axes.axhline(factor * found.ann, color=COLOURS[1], ls="--", label="ANN")
    if share and found.agreement is not None:
        axes.plot(steps, 100.0 * np.array(found.agreement), color=COLOURS[2], lw=1, label="agrees with the ANN")
    if found.within is not None:
        axes.axvline(found.within, color=COLOURS[3], lw=1, ls=":", label=f"within 1 % from step {found.within} on")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="steps", ylabel=f"{found.metric} (%)" if share else found.metric, xlim=(0.9, 1.1 * steps[-1]))
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def error_bars(comparison: Comparison) -> Figure:
    """The parts of each layer's error as stacked bars, and the error itself as a mark."""
    rows = [(layer.name, layer.error) for layer in comparison.layers if layer.error is not None]
    figure, axes, places = _rows([name for name, _ in rows])
    left = np.zeros(len(rows))
    for part, colour in zip(PARTS[:-1], COLOURS, strict=False):
        widths = np.array([getattr(error, part) for _, error in rows])
        axes.barh(places, widths, left=left, color=colour, label=part)
        left += widths
    axes.plot([error.total for _, error in rows], places, "|", color=BLACK, ms=12, mew=2, label="error")
    axes.set(xlabel="relative L2 norm")
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def work_bars(comparison: Comparison) -> Figure:
    """Spikes and synaptic operations of each value beside the module's multiply-accumulates, for one image."""
    rows = [(layer.name, layer.work) for layer in comparison.layers if layer.work is not None]
    figure, axes, places = _rows([name for name, _ in rows], height=2 * ROW)
    bars = {"MACs of the ANN": [work.macs for _, work in rows],
            "synaptic operations": [work.operations + work.relayed_operations for _, work in rows],
            "spikes": [work.spikes + work.relayed for _, work in rows]}  # fmt: skip
    for number, (label, widths) in enumerate(bars.items()):
        axes.barh(places + 0.27 * (number - 1), widths, height=0.25, color=COLOURS[number], label=label)
    axes.set_xscale("symlog", linthresh=1.0)
    axes.xaxis.set_major_formatter(lambda count, place: short(count))
    axes.set(xlabel="per image", xlim=(0, None))
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _rows(names: list[str], *, height: float = ROW) -> tuple[Figure, Axes, np.ndarray]:
    """A figure with a row for each name, from the top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, max(ROWS_LEAST, 1.0 + height * len(names))), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(names))
    axes.set_yticks(places, [name if len(name) <= 32 else name[:31] + "…" for name in names])
    axes.invert_yaxis()
    return figure, axes, places
