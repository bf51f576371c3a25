"""Trials: an image run from the start again and again, each time with inputs of its own, side by side."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any

import numpy as np

from spikesim.errors import DescriptionError, KindError
from spikesim.hardware.loihi.emulator import Emulator
from spikesim.hardware.loihi.fired import Fired
from spikesim.hardware.loihi.image import ChipImage
from spikesim.hardware.loihi.payload import strongest
from spikesim.hardware.loihi.run import check_backend, interval, record, run_bias, sent_spikes
from spikesim.machine import cores
from spikesim.recording import Recording

SYNAPSES = 25_000_000  # of all copies in one run of Lava, which takes some 50 bytes for each

Run = tuple[Fired, np.ndarray | None, int]  # the inputs' spikes, the bias, and the seed


def run_trials(image: ChipImage, steps: int, *, inputs: Mapping[str, Any] | None = None, currents: Mapping[str, Any] | None = None,
               seeds: Sequence[int] | None = None, backend: str = "emulator", weights_every: int | None = None,
               threads: int | None = None, **options: Any) -> list[Recording]:  # fmt: skip
    """Run ``steps`` steps from the start several times and return a `Recording` of each.

    inputs: for each input population a sequence with what `spikesim.hardware.loihi.run.run_image` takes, one for each trial. currents:
    for each population whole numbers (trials, size). seeds: of the Poisson inputs of each trial, and of the rounding of what learns;
    without them all see the same. weights_every: as in `run_image`.
    backend: "emulator", which runs as many trials at once as there are ``threads`` (by default all cores), or "lava", which runs copies of
    the image side by side in one network, for its cost is by process, and takes the ``options`` of `run_lava`;
    an image that learns has a run of Lava for each trial.
    """
    check_backend(steps, backend, threads, options)
    runs = _runs(image, int(steps), inputs, currents, seeds)
    every = interval(weights_every, int(steps))
    return _in_lava(image, int(steps), runs, every, options) if backend == "lava" else _emulated(image, int(steps), runs, every, threads)


def _runs(image: ChipImage, steps: int, inputs: Any, currents: Any, seeds: Any) -> list[Run]:
    given = {"inputs": inputs, "currents": currents}
    for what, mapping in given.items():
        if mapping is not None and not isinstance(mapping, Mapping):
            raise KindError(f"trials: {what} must map populations to one entry for each trial, got {mapping!r}")
    each = [values for mapping in given.values() for values in (mapping or {}).values()] + ([] if seeds is None else [seeds])
    for values in each:
        if not isinstance(values, Sequence | np.ndarray):
            raise KindError(f"trials: expected a sequence with one entry for each trial, got {values!r}")
    numbers = {len(values) for values in each}
    if len(numbers) != 1 or 0 in numbers:
        raise DescriptionError(f"trials: expected inputs, currents or seeds for the same number of trials, got {sorted(numbers) or 'none'}")

    def of_trial(mapping: Mapping[str, Any] | None, k: int) -> dict[str, Any] | None:
        return None if mapping is None else {name: values[k] for name, values in mapping.items()}

    chosen = [0] * max(numbers) if seeds is None else seeds
    return [(sent_spikes(image, of_trial(inputs, k), steps, seed), run_bias(image, of_trial(currents, k)), int(seed))
            for k, seed in enumerate(chosen)]  # fmt: skip


def _emulated(image: ChipImage, steps: int, runs: list[Run], every: int, threads: int | None) -> list[Recording]:
    first = Emulator(image, threads=1)
    workers = min(len(runs), threads or cores())

    def work(worker: int) -> list[Recording]:
        emulator, made = copy(first), []  # what does not change is shared
        for sent, bias, seed in runs[worker::workers]:
            emulator.reset(bias, seed, strongest(sent.sizes))
            made.append(record(emulator, steps, sent, every))
        return made

    with ThreadPoolExecutor(workers) as pool:
        shares = list(pool.map(work, range(workers)))
    return [shares[k % workers][k // workers] for k in range(len(runs))]


def _in_lava(image: ChipImage, steps: int, runs: list[Run], every: int, options: dict[str, Any]) -> list[Recording]:
    from spikesim.hardware.loihi.run_lava import run_in_lava

    synapses = int(np.diff(image.run_starts[image.list_starts])[image.axon_list].sum())
    batches = len(runs) if image.plastic else -(-len(runs) * synapses // SYNAPSES) or 1
    made: list[Recording] = []
    for share in np.array_split(np.arange(len(runs)), batches):
        chosen = [runs[k] for k in share]
        sent, biases, seeds = zip(*chosen, strict=True)
        made += run_in_lava(image, steps, sent, biases, seed=seeds[0], weights_every=every, **options)
    return made
