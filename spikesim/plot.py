"""Pictures of recordings, with matplotlib, which is loaded when the first one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spikesim.errors import DescriptionError
from spikesim.recording import Recording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_DOTS = 200_000  # beyond that a raster is a black square; spikes are thinned evenly and the title says so
COLOURS = ("#1f4e79", "#c0392b", "#2e8b57", "#8e5ea2", "#d68910", "#148f77", "#7b7d7d", "#a04000")


def raster(recording: Recording, *, bin: float = 5.0, most: int = 500) -> Figure:
    """Spikes as dots, populations stacked, and below them the population rates in bins of ``bin`` ms.

    most: neurons shown of each population, the first ones.
    """
    from matplotlib.figure import Figure

    if not recording.spikes:
        raise DescriptionError("raster: no spikes were recorded; add net.record(population, 'spikes')")
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise DescriptionError(f"raster: most must be a whole number of neurons from 1 on, got {most!r}")
    figure = Figure(figsize=(9, 6), layout="constrained")
    dots, rates = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    height, thinned = 0, False
    for (name, spikes), colour in zip(recording.spikes.items(), _cycle(len(recording.spikes)), strict=True):
        shown = spikes.recorded[:most]
        inside = np.flatnonzero(spikes.ids <= shown[-1])
        every = max(1, -(-len(inside) // MOST_DOTS))
        thinned |= every > 1
        rows = np.searchsorted(shown, spikes.ids[inside[::every]])
        dots.plot(spikes.times[inside[::every]], height + rows, ".", ms=2.5, mew=0, color=colour, rasterized=True)
        dots.text(1.005, height + len(shown) / 2, name, color=colour, transform=dots.get_yaxis_transform(), va="center")
        edges, values = recording.psth(name, bin=bin)
        rates.step(edges, values, where="post", color=colour, lw=1)
        height += len(shown)
    dots.set(ylabel="neuron", ylim=(-1, height), title="spikes (thinned)" if thinned else "spikes")
    rates.set(ylabel="rate (Hz)", xlabel="time (ms)", xlim=(recording.start, max(recording.stop, recording.start + recording.dt)))
    return figure


def accuracy_over_steps(snn: np.ndarray, ann: float, *, title: str) -> Figure:
    """Accuracy of a converted network after each step (values 0 to 1), beside that of the original."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.axhline(100 * ann, color=COLOURS[1], ls="--", label=f"ANN {100 * ann:.1f} %")
    label = f"SNN {100 * snn[-1]:.1f} % after {len(snn)} steps"
    axes.plot(np.arange(1, len(snn) + 1), 100 * snn, color=COLOURS[0], marker=".", label=label)
    axes.set(xlabel="steps", ylabel="accuracy (%)", ylim=(0, 101), title=title)
    axes.legend(loc="lower right")
    return figure


def _cycle(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]
