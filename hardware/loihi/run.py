"""Running an image: inputs in, a `Recording` out, on the emulator or in Lava."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikesim.errors import DescriptionError, KindError, UnsupportedError, unknown_name
from spikesim.hardware.loihi.circuit import sizes_of
from spikesim.hardware.loihi.emulator import Activity, Emulator, check_threads
from spikesim.hardware.loihi.fired import Fired, Traces, in_order, recording_of, traced, weights_of
from spikesim.hardware.loihi.image import ChipImage
from spikesim.hardware.loihi.limits import chip_named
from spikesim.hardware.loihi.payload import MOST, check_input, check_sizes, strongest
from spikesim.kernel import kernel
from spikesim.random import SOURCE, check_seed, stream, word_of
from spikesim.recording import Recording
from spikesim.stimulus import SpikeTrains

BACKENDS = ("emulator", "lava")
LAVA_OPTIONS = ("deadline", "silence")


def run_image(image: ChipImage, steps: int, *, inputs: Any = None, currents: Any = None, backend: str = "emulator", seed: int = 0,
              weights_every: int | None = None, threads: int | None = None, **options: Any) -> Recording:  # fmt: skip
    """Run ``steps`` steps (of 1 ms) from the start and return what the network's probes ask for, as `Recording`.

    inputs: for each input population `SpikeTrains`, or an array (steps, size) that is not 0 where a neuron fires (size 1), in place of
    the image's own trains or Poisson processes, which ``seed`` draws as the engines do. currents: for each population whole numbers
    (size,) that are added to its bias in this run. backend: "emulator", whose ``threads`` are by default as many as pay (the
    spikes do not depend on it), or "lava", whose ``options`` are those of `spikesim.hardware.loihi.lava.run_lava`. Weights that learn
    are in the recording's ``weights`` as they are after each ``weights_every`` steps (once, at the end, by default); ``seed`` draws their
    rounding, too.
    """
    check_backend(steps, backend, threads, options)
    check_seed(seed)
    every = interval(weights_every, int(steps))
    sent, bias = sent_spikes(image, inputs, int(steps), seed), run_bias(image, currents)
    if backend == "lava":
        from spikesim.hardware.loihi.run_lava import run_in_lava

        return run_in_lava(image, int(steps), [sent], [bias], seed=seed, weights_every=every, **options)[0]
    return emulate(image, int(steps), sent, bias, seed=seed, weights_every=every, threads=threads)[0]


def check_backend(steps: Any, backend: str, threads: Any, options: Mapping[str, Any]) -> None:
    """Raise for steps that are no number, a backend that there is not, and options that it does not have."""
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise DescriptionError(f"run: expected a whole number of steps from 1 on, got {steps!r}")
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS, where="run")
    if backend == "lava" and threads is not None:
        raise UnsupportedError(f"run: threads={threads} is for the emulator; Lava takes a process for each of its own, leave it out")
    check_threads(threads, "run")
    known = LAVA_OPTIONS if backend == "lava" else ("threads",)
    for name in options:
        if name not in known:
            raise unknown_name("option", name, known, where=f"run: backend {backend!r}")


def interval(given: Any, steps: int) -> int:
    """After how many steps weights are kept: after all of them if ``given`` is None."""
    if given is None:
        return steps
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or not 1 <= given <= steps:
        raise DescriptionError(f"run: weights_every: expected a whole number of steps from 1 to {steps}, got {given!r}")
    return int(given)


def emulate(image: ChipImage, steps: int, sent: Fired, bias: np.ndarray | None = None, *, seed: int = 0,
            weights_every: int | None = None, threads: int | None = None) -> tuple[Recording, Activity]:  # fmt: skip
    """The recording and what each core did; sent: the inputs' spikes."""
    emulator = Emulator(image, bias=bias, seed=seed, threads=threads, strongest=strongest(sent.sizes))
    return record(emulator, steps, sent, weights_every), emulator.activity


def record(emulator: Emulator, steps: int, sent: Fired, weights_every: int | None = None) -> Recording:
    """The recording of ``steps`` steps of an emulator at the start."""
    every = steps if weights_every is None else weights_every
    image, wanted = emulator.image, traced(emulator.image)
    source = image.source_of_neuron
    if emulator.layout.widest * strongest(sent.sizes) > MOST:  # else no input can be as large
        from spikesim.hardware.loihi.run_lava import circuit_of_image

        check_input(circuit_of_image(image), sent)
    (when, who), u, v = emulator.advance(steps, sent.steps, source[sent.neurons], source[wanted], sizes=sent.sizes, weights_every=every)
    fired = in_order(Fired(when, image.neuron[np.maximum(who, ~who)], np.where(who < 0, -1, 1)), sent, last=steps)
    tables = emulator.tables
    weights = weights_of(image, tables.projection[tables.ends[0]], tables.neuron[tables.ends], emulator.samples, every)
    return recording_of(image, steps, fired, Traces(wanted, u, v), weights)


def sent_spikes(image: ChipImage, inputs: Any, steps: int, seed: int = 0) -> Fired:
    """What the input populations send."""
    check_seed(seed)
    if inputs is not None and not isinstance(inputs, Mapping):
        raise KindError(f"run: inputs must map input populations to SpikeTrains or arrays, got {inputs!r}")
    known = [name for name, is_input in zip(image.names, image.inputs, strict=True) if is_input]
    made = [Fired(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))]
    for name in inputs or {}:
        if name not in known:
            raise unknown_name("input population", name, known, where="run: inputs")
    for name in known:
        at = image.names.index(name)
        if name in (inputs or {}):
            made.append(_of_input(image, at, (inputs or {})[name]))
        else:
            made.append(_own_spikes(image, at, steps, np.uint64(seed)))
    sent = in_order(*made, last=steps)
    _check_once(image, sent)
    check_sizes(chip_named(image.chip), image, sent)
    return sent


def _own_spikes(image: ChipImage, at: int, steps: int, seed: np.uint64) -> Fired:
    """What an input population sends by itself: the image's trains, or what Poisson sources draw."""
    start, stop = image.starts[at : at + 2]
    own = (image.train_neurons >= start) & (image.train_neurons < stop)
    if not image.rates[start:stop].any():
        return Fired(image.train_steps[own], image.train_neurons[own], image.train_sizes[own])
    limits = np.rint(np.minimum(image.rates[start:stop] * 1e-3, 1.0) * 2.0**32).astype(np.uint64)
    when, who = poisson_spikes(limits, seed, stream(SOURCE, at), steps)
    return Fired(when, who + start, np.ones(len(who), np.int32))


def _check_once(image: ChipImage, sent: Fired) -> None:
    """Raise for a neuron that fires twice in a step."""
    twice = (np.diff(sent.steps) == 0) & (np.diff(sent.neurons) == 0)
    if twice.any():
        neuron, step = sent.neurons[np.argmax(twice)], sent.steps[np.argmax(twice)]
        at = int(np.searchsorted(image.starts, neuron, side="right")) - 1
        raise DescriptionError(f"run: input population {image.names[at]!r}: neuron {neuron - image.starts[at]} fires twice in step {step}; "
                               "give it one spike a step")  # fmt: skip


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


def _of_input(image: ChipImage, at: int, given: Any) -> Fired:
    """What an input population is given to send."""
    name, start, size = image.names[at], image.starts[at], int(image.starts[at + 1] - image.starts[at])
    if isinstance(given, SpikeTrains):
        if len(given.ids) and given.ids.max() >= size:
            raise DescriptionError(f"run: inputs[{name!r}]: SpikeTrains.ids must lie in 0..{size - 1}, got {given.ids.max()}")
        steps = np.rint(given.times).astype(np.int64)
        if np.any(steps != given.times):
            raise DescriptionError(f"run: inputs[{name!r}]: SpikeTrains.times must be whole numbers of steps")
        return Fired(steps, given.ids + start, sizes_of(given))
    array = np.asarray(given)
    if array.ndim != 2 or array.shape[1] != size or array.dtype.kind not in "biuf":
        raise DescriptionError(f"run: inputs[{name!r}]: expected SpikeTrains or an array (steps, {size}), got shape {array.shape}")
    steps, ids = np.nonzero(array)
    return Fired(steps + 1, ids + start, np.ones(len(ids), np.int32))


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
        try:
            array = np.asarray(given, np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise KindError(f"run: currents[{name!r}]: expected whole numbers, got {given!r}") from None
        if len(array) != image.starts[at + 1] - image.starts[at] or np.any(np.rint(array) != array) or np.any(np.abs(array) >= 2**20):
            raise DescriptionError(f"run: currents[{name!r}]: expected {image.starts[at + 1] - image.starts[at]} whole numbers below 2**20")
        bias[image.starts[at] : image.starts[at + 1]] += array.astype(np.int64)
    return bias[image.neuron]
