"""SpikingJelly's side of conversion.py: a converted network shown constant images; prints JSON.

    python spikingjelly_conversion.py FOLDER [--recipe best] [--images 1000] [--steps 64] [--threads 2] [--batch 128] [--eager]

It is given what suits it best on a processor: a compiled step, channels last in memory, and of several batch sizes the fastest.
Compiling counts as building. ``accuracy_delayed`` leaves the first steps out of the mean, as many as SpikingJelly estimates.
"""

import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
import typer
from conversion_figures import Run, Task, accuracy, print_figures, read, use_cores
from torch import nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from loguru import logger
    from spikingjelly.activation_based import ann2snn, functional, neuron

RATE = partial(ann2snn.RateCodingRecipe, mode="99.9%")
RECIPES: dict[str, Callable[..., ann2snn.FXConversionRecipe]] = {
    "plain": RATE,
    "best": partial(RATE, channel_wise=True, half_threshold=True, pre_spike_maxpool=True),
    "balanced": ann2snn.LocalThresholdBalancingRecipe,
}
# thresholds are means over batches: one as large as SpikingJelly's quantile takes is best, but balancing learns from many
CALIBRATION_BATCHES = {"plain": (1000, 500, 200, 100), "best": (1000, 500, 200, 100), "balanced": (100,)}
PASSES = {"plain": 1, "best": 1, "balanced": 40}
TOO_LARGE = "quantile() input tensor is too large"
Step = Callable[[torch.Tensor], torch.Tensor]
BATCHES = (32, 64, 128, 256)
TRIED = 4  # steps, to choose a batch size
DELAYED = (2, 4, 8, 16, 32, 64)


def main(folder: str, recipe: str = "best", images: int = 1000, steps: int = 64, threads: int = 2, batch: int | None = None,
         eager: bool = False) -> None:  # fmt: skip
    logger.remove()
    use_cores(threads)
    task = read(folder, images)
    started = time.perf_counter()
    snn = converted(task, recipe)
    shown = torch.as_tensor(task.images)
    if shown.ndim == 4:
        snn, shown = snn.to(memory_format=torch.channels_last), shown.contiguous(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = min(len(shown), batch or fastest(snn, shown))
    step = compiled(snn, shown[:batch], eager)
    built = time.perf_counter() - started
    outputs, seconds = run(snn, step, shown, batch, steps)
    spikes, neurons = counted(snn, shown[:256], steps)
    delays = {t: estimated_delay(snn, task.calibration, t) for t in DELAYED if t <= steps}
    mean = outputs / np.arange(1, steps + 1)[:, None, None]
    delayed = {t: accuracy(outputs[t - 1 : t] - (outputs[d - 1] if d else 0.0), task.labels)[0] for t, d in delays.items()}
    print_figures(
        task, Run(mean, seconds, spikes, neurons), built=built, recipe=recipe, batch=batch, accuracy_delayed=delayed, delays=delays
    )


def converted(task: Task, recipe: str) -> nn.Module:
    images = torch.as_tensor(task.calibration)
    for size in CALIBRATION_BATCHES[recipe]:
        try:
            loader = list(images.split(size)) * PASSES[recipe]
            return ann2snn.Converter(RECIPES[recipe](loader)).convert(task.module).eval()
        except RuntimeError as error:
            if TOO_LARGE not in str(error):
                raise
    raise RuntimeError(f"activations are too large for SpikingJelly's quantile in batches of {CALIBRATION_BATCHES[recipe][-1]}")


def estimated_delay(snn: nn.Module, calibration: np.ndarray, steps: int) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ann2snn.estimate_delay_start(snn, torch.as_tensor(calibration).split(100), torch.device("cpu"), steps)


def compiled(snn: nn.Module, images: torch.Tensor, eager: bool) -> Step:
    """A step for batches of this size, ready to be timed."""
    step = snn if eager else torch.compile(snn, dynamic=False)
    run(snn, step, images, len(images), TRIED)
    return step


def fastest(snn: nn.Module, images: torch.Tensor) -> int:
    """The batch size of the least time an image, not compiled, for that would take minutes."""
    sizes = [size for size in BATCHES if size <= len(images)] or [len(images)]

    def seconds(size: int) -> float:
        return min(run(snn, snn, images[:size], size, 2 * TRIED)[1] for _ in range(3))

    return min(sizes, key=seconds)


@torch.no_grad()
def run(
    snn: nn.Module, step: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, batch: int, steps: int
) -> tuple[np.ndarray, float]:
    """Sums of the outputs up to each step, (steps, n, classes), and seconds an image and step in full batches.

    The first step is not compiled, for in it the neurons have no state yet and the step would be compiled once more.
    """
    found, seconds = [], 0.0
    for some in images.split(batch):
        functional.reset_net(snn)
        started = time.perf_counter()
        full = step if len(some) == batch else snn
        total = [snn(some)]
        for _ in range(steps - 1):
            total.append(total[-1] + full(some))
        seconds += time.perf_counter() - started if len(some) == batch else 0.0
        found.append(torch.stack(total).numpy().astype(np.float64))
    return np.concatenate(found, axis=1), seconds / (len(images) // batch * batch * steps)


@torch.no_grad()
def counted(snn: nn.Module, images: torch.Tensor, steps: int) -> tuple[dict[str, float], int]:
    """Spikes an image in all steps, by layer, and the number of neurons."""
    nodes = {name: part for name, part in snn.named_modules() if isinstance(part, neuron.BaseNode)}
    spikes, sizes = dict.fromkeys(nodes, 0.0), dict.fromkeys(nodes, 0)

    def watch(name: str) -> Callable[[nn.Module, Iterable[torch.Tensor], torch.Tensor], None]:
        def hook(part: nn.Module, given: Iterable[torch.Tensor], fired: torch.Tensor) -> None:
            spikes[name] += float(fired.sum()) / len(fired)
            sizes[name] = fired[0].numel()

        return hook

    handles = [part.register_forward_hook(watch(name)) for name, part in nodes.items()]
    run(snn, snn, images, len(images), steps)
    for handle in handles:
        handle.remove()
    return spikes, sum(sizes.values())


if __name__ == "__main__":
    typer.run(main)
