"""Running an image: inputs in, a `Recording` out, on the emulator or in Lava."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spikesim.errors import DescriptionError, KindError, unknown_name
from spikesim.hardware.loihi.emulator import Activity, Emulator
from spikesim.hardware.loihi.image import ChipImage
from spikesim.kernel import kernel
from spikesim.network import COUNTS, RATE, SPIKES
from spikesim.random import SOURCE, check_seed, stream, word_of
from spikesim.recording import Counts, Rate, Recording, Spikes, Trace, Weights, recorded
from spikesim.stimulus import SpikeTrains

BACKENDS = ("emulator", "lava")


def run_image(image: ChipImage, steps: int, *, inputs: Any = None, currents: Any = None, backend: str = "emulator", seed: int = 0,
              weights_every: int | None = None, **options: Any) -> Recording:  # fmt: skip
    """Run ``steps`` steps (of 1 ms) from the start and return what the network's probes ask for, as `Recording`.

    inputs: for each input population `SpikeTrains`, or an array (steps, size) that is not 0 where a neuron fires, in place of
    the image's own trains or Poisson processes, which ``seed`` draws as the engines do. currents: for each population whole numbers
    (size,) that are added to its bias in this run. backend: "emulator" or
    "lava", whose ``options`` are those of `spikesim.hardware.loihi.lava.run_lava`. Weights that learn are in the recording's
    ``weights`` as they are after each ``weights_every`` steps (once, at the end, by default); ``seed`` draws their rounding, too.
    """
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS, where="run")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise DescriptionError(f"run: expected a whole number of steps from 1 on, got {steps!r}")
    check_seed(seed)
    every = _interval(weights_every, int(steps))
    sent = sent_spikes(image, inputs, int(steps), seed)
    bias = run_bias(image, currents)
    if backend == "lava":
        from spikesim.hardware.loihi.run_lava import run_in_lava

        wanted = traced(image)
        *found, weights = run_in_lava(image, int(steps), sent, bias, wanted, seed=seed, weights_every=every, options=options)
        return replace(_recording(image, int(steps), *found), weights=recorded("weights", weights))
    if options:
        raise unknown_name("option", next(iter(options)), ("inputs", "currents", "backend", "seed", "weights_every"), where="run")
    return emulate(image, int(steps), sent, bias, seed=seed, weights_every=every)[0]


def _interval(given: Any, steps: int) -> int:
    if given is None:
        return steps
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or not 1 <= given <= steps:
        raise DescriptionError(f"run: weights_every: expected a whole number of steps from 1 to {steps}, got {given!r}")
    return int(given)


def emulate(image: ChipImage, steps: int, sent: tuple[np.ndarray, np.ndarray], bias: np.ndarray | None = None, *, seed: int = 0,
            weights_every: int | None = None) -> tuple[Recording, Activity]:  # fmt: skip
    """The recording and what each core did; sent: (steps, neurons) of the inputs' spikes, in time order."""
    emulator = Emulator(image, bias=bias, seed=seed)
    source = image.source_of_neuron
    wanted = traced(image)
    every = steps if weights_every is None else weights_every
    (when, who), u, v = emulator.advance(steps, sent[0], source[sent[1]], source[wanted], weights_every=every)
    neurons = np.concatenate([image.neuron[who], sent[1]])
    when = np.concatenate([when, sent[0]])
    early = when <= steps
    tables = emulator.tables
    learned = weights_of(image, tables.projection[tables.ends[0]], tables.neuron[tables.ends], emulator.samples, every)
    recording = _recording(image, steps, when[early], neurons[early], wanted, u, v)
    return replace(recording, weights=recorded("weights", learned)), emulator.activity


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


def sent_spikes(image: ChipImage, inputs: Any, steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(steps, neurons), int64 in time order, of what the input populations send."""
    if inputs is not None and not isinstance(inputs, Mapping):
        raise KindError(f"run: inputs must map input populations to SpikeTrains or arrays, got {inputs!r}")
    known = [name for name, is_input in zip(image.names, image.inputs, strict=True) if is_input]
    when, who = [image.train_steps], [image.train_neurons]
    for name, given in (inputs or {}).items():
        if name not in known:
            raise unknown_name("input population", name, known, where="run: inputs")
        at = image.names.index(name)
        start, stop = image.starts[at : at + 2]
        own = (who[0] >= start) & (who[0] < stop)
        when[0], who[0] = when[0][~own], who[0][~own]
        found = _of_input(given, int(stop - start), name)
        when.append(found[0])
        who.append(found[1] + start)
    for at, name in enumerate(image.names):
        start, stop = image.starts[at : at + 2]
        if name not in (inputs or {}) and image.rates[start:stop].any():
            limits = np.rint(np.minimum(image.rates[start:stop] * 1e-3, 1.0) * 2.0**32).astype(np.uint64)
            found = poisson_spikes(limits, np.uint64(seed), stream(SOURCE, at), steps)
            when.append(found[0])
            who.append(found[1] + start)
    times, neurons = np.concatenate(when), np.concatenate(who)
    order = np.lexsort((neurons, times))
    order = order[times[order] <= steps]
    return times[order], neurons[order]


@kernel
def poisson_spikes(limits, seed, stream, steps):
    """(steps from 1 on, neurons) of Poisson sources that fire where their word lies below their limit, as on the engines."""
    when, who = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    for step in range(steps):
        for i in range(len(limits)):
            if word_of(seed, stream, i, step) < limits[i]:
                when.append(np.int64(step + 1))
                who.append(np.int64(i))
    return np.array(when), np.array(who)


def _of_input(given: Any, size: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(given, SpikeTrains):
        if len(given.ids) and given.ids.max() >= size:
            raise DescriptionError(f"run: inputs[{name!r}]: SpikeTrains.ids must lie in 0..{size - 1}, got {given.ids.max()}")
        steps = np.rint(given.times).astype(np.int64)
        if np.any(steps != given.times):
            raise DescriptionError(f"run: inputs[{name!r}]: SpikeTrains.times must be whole numbers of steps")
        return steps, given.ids
    array = np.asarray(given)
    if array.ndim != 2 or array.shape[1] != size or array.dtype.kind not in "biuf":
        raise DescriptionError(f"run: inputs[{name!r}]: expected SpikeTrains or an array (steps, {size}), got shape {array.shape}")
    steps, ids = np.nonzero(array)
    return steps + 1, ids


def run_bias(image: ChipImage, currents: Any) -> np.ndarray | None:
    """The bias of each compartment, int64, with ``currents`` added; None if there are none."""
    if currents is None:
        return None
    if not isinstance(currents, Mapping):
        raise KindError(f"run: currents must map populations to whole numbers, got {currents!r}")
    bias = np.empty(image.neurons, np.int64)
    bias[image.neuron] = image.cells["bias"]
    known = [name for name, is_input in zip(image.names, image.inputs, strict=True) if not is_input]
    for name, given in currents.items():
        if name not in known:
            raise unknown_name("population", name, known, where="run: currents")
        at = image.names.index(name)
        array = np.asarray(given, np.float64).reshape(-1)
        if len(array) != image.starts[at + 1] - image.starts[at] or np.any(np.rint(array) != array) or np.any(np.abs(array) >= 2**20):
            raise DescriptionError(f"run: currents[{name!r}]: expected {image.starts[at + 1] - image.starts[at]} whole numbers below 2**20")
        bias[image.starts[at] : image.starts[at + 1]] += array.astype(np.int64)
    return bias[image.neuron]


def traced(image: ChipImage) -> np.ndarray:
    """The neurons whose u or v is recorded, int64."""
    found = [image.starts[image.names.index(p.population)] + np.arange(p.start, p.stop, p.step)
             for p in image.probes if p.variable in ("u", "v")]  # fmt: skip
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def _recording(image: ChipImage, steps: int, when: np.ndarray, who: np.ndarray, traced: np.ndarray, u: np.ndarray,
               v: np.ndarray) -> Recording:  # fmt: skip
    """What the probes ask for; when, who: steps and neurons of all spikes; u, v: (steps, traced)."""
    order = np.lexsort((who, when))
    when, who = when[order], who[order]
    spikes, traces, rates, counts = {}, {}, {}, {}
    for probe in image.probes:
        start = image.starts[image.names.index(probe.population)]
        ids = np.arange(probe.start, probe.stop, probe.step)
        own = np.isin(who, start + ids)
        if probe.variable == SPIKES:
            spikes[probe.population] = Spikes(when[own].astype(float), who[own] - start, ids)
        elif probe.variable == COUNTS:
            counts[probe.population] = Counts(ids, np.bincount(who[own] - start, minlength=probe.stop)[ids])
        elif probe.variable == RATE:
            rates[probe.population] = _rate(when[own], probe.every or 1.0, len(ids), steps)
        else:
            every = round(probe.every or 1.0)
            values = (u if probe.variable == "u" else v)[every - 1 :: every, np.searchsorted(traced, start + ids)]
            traces[probe.population, probe.variable] = Trace(every * np.arange(1.0, len(values) + 1), ids, values.astype(float))
    return Recording(0.0, float(steps), 1.0, recorded("spikes", spikes), recorded("traces", traces), recorded("rates", rates),
                     recorded("counts", counts))  # fmt: skip


def _rate(when: np.ndarray, every: float, size: int, steps: int) -> Rate:
    width, whole = round(every), steps // round(every)
    bins = np.bincount((when - 1) // width, minlength=whole)[:whole]
    return Rate(width * np.arange(1.0, whole + 1), 1e3 * bins / (size * width), float(width))
