"""What a run gave, on whatever backend, as the recording that the network's probes ask for."""

from dataclasses import dataclass

import numpy as np

from spikesim.hardware.loihi.image import ChipImage
from spikesim.network import COUNTS, RATE, SPIKES
from spikesim.recording import Counts, Rate, Recording, Spikes, Trace, Weights, recorded


@dataclass(frozen=True)
class Fired:
    """Spikes in the order of steps and neurons: steps (from 1 on), neurons of the network, sizes (of neurons 1, or -1 of ternary ones).

    int64, and int32 for the sizes.
    """

    steps: np.ndarray
    neurons: np.ndarray
    sizes: np.ndarray


@dataclass(frozen=True)
class Traces:
    """u and v (steps, neurons) of the ``neurons`` of which one is recorded, in their order."""

    neurons: np.ndarray
    u: np.ndarray
    v: np.ndarray


def in_order(*parts: Fired, last: int) -> Fired:
    """All spikes of the parts, which need not be in order, up to the step ``last``."""
    steps, neurons = np.concatenate([part.steps for part in parts]), np.concatenate([part.neurons for part in parts])
    sizes = np.concatenate([part.sizes for part in parts])
    order = np.lexsort((neurons, steps))
    order = order[steps[order] <= last]
    return Fired(steps[order], neurons[order], sizes[order].astype(np.int32))


def traced(image: ChipImage) -> np.ndarray:
    """The neurons whose u or v is recorded, int64."""
    found = [image.starts[image.names.index(p.population)] + np.arange(p.start, p.stop, p.step)
             for p in image.probes if p.variable in ("u", "v")]  # fmt: skip
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def recording_of(image: ChipImage, steps: int, fired: Fired, traces: Traces, weights: dict[str, Weights]) -> Recording:
    """What the probes ask for."""
    spikes, sampled, rates, counts = {}, {}, {}, {}
    for probe in image.probes:
        start = int(image.starts[image.names.index(probe.population)])
        ids = np.arange(probe.start, probe.stop, probe.step)
        own = np.isin(fired.neurons, start + ids)
        when, who = fired.steps[own], fired.neurons[own] - start
        if probe.variable == SPIKES:
            sizes = fired.sizes[own]
            graded = {"sizes": sizes} if (sizes != 1).any() else {}
            spikes[probe.population] = Spikes(when.astype(float), who, ids, **graded)
        elif probe.variable == COUNTS:
            counts[probe.population] = Counts(ids, np.bincount(who, minlength=probe.stop)[ids])
        elif probe.variable == RATE:
            rates[probe.population] = _rate(when, probe.every or 1.0, len(ids), steps)
        else:
            every = round(probe.every or 1.0)
            values = getattr(traces, probe.variable)[every - 1 :: every, np.searchsorted(traces.neurons, start + ids)]
            sampled[probe.population, probe.variable] = Trace(every * np.arange(1.0, len(values) + 1), ids, values.astype(float))
    return Recording(0.0, float(steps), 1.0, recorded("spikes", spikes), recorded("traces", sampled), recorded("rates", rates),
                     recorded("counts", counts), weights=recorded("weights", weights))  # fmt: skip


def weights_of(image: ChipImage, number: np.ndarray, ends: np.ndarray, samples: np.ndarray, every: int) -> dict[str, Weights]:
    """The weights of each projection that learns, by name.

    number: int64 (synapses,), the projection of each; ends: int64 (2, synapses), source and target; samples: (times, synapses),
    after each ``every`` steps.
    """
    made, times = {}, every * np.arange(1.0, len(samples) + 1)
    for at, each in enumerate(image.plastic):
        first = image.starts[[image.names.index(each.source), image.names.index(each.target)]]
        sources, targets = ends[:, number == at] - first[:, None]
        made[each.projection] = Weights(times, sources, targets, samples[:, number == at].astype(float))
    return made


def _rate(when: np.ndarray, every: float, size: int, steps: int) -> Rate:
    width, whole = round(every), steps // round(every)
    bins = np.bincount((when - 1) // width, minlength=whole)[:whole]
    return Rate(width * np.arange(1.0, whole + 1), 1e3 * bins / (size * width), float(width))
