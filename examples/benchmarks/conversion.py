"""The same trained network converted to spikes by spikesim and by SpikingJelly, shown the same constant images.

    python examples/benchmarks/conversion.py --against spikingjelly [--model fashion_resnet20] [--images 10000] [--steps 64] [--json FILE]

Both calibrate with the same 1,000 training images. Accuracy, error and spikes come from all images; times from fewer, in
turn, each side in a process of its own on the same cores. The table tells how far each is from the network in torch.
Models and their weights are those of `spikesim zoo`; a model that is not in the cache is trained first, which for
fashion_resnet20 takes half an hour.
"""

import json
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from contest import PEERS, options
from peers.conversion_figures import Task, write
from rich.console import Console
from rich.table import Table
from side_by_side import WIDTH, script, wait_for_quiet
from torch import nn

from spikesim.info import versions
from spikesim.models import zoo

CALIBRATION = 1000  # images
SHOWN = (2, 4, 8, 16, 32, 64)  # steps after which the accuracy is in the table
OURS = {"plain": "plain spikes", "low": "plain, 99 %", "tuned": "plain, tuned", "burst": "bursts of 4", "burst_tuned": "bursts of 4, tuned"}
RECIPES = {"plain": "99.9 %", "best": "99.9 %, by channel, half threshold", "balanced": "local threshold balancing"}
LEGEND = (
    "A burst is one graded spike of up to 4 at once, of either sign; plain neurons and the peer's send at most one spike a step, "
    "never negative. Tuned: a conversion of its own for each T. error: of the last outputs, relative; spikes: a neuron and step; "
    "operations: synaptic, an image and step; ms: an image and step; read later: without the first steps"
)
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
Contender = Callable[..., dict[str, Any]]


def of_zoo(name: str) -> tuple[nn.Module, Arrays]:
    data = zoo.entry(name).data()
    assert data.test_targets is not None
    return zoo.trained(name), (data.train_inputs, data.test_inputs, data.test_targets)


# a trained module; training images, test images, labels: classifiers of single images
MODELS: dict[str, Callable[[], tuple[nn.Module, Arrays]]] = {
    name: partial(of_zoo, name) for name, row in zoo.ZOO.items() if row.metric == "accuracy" and name != "gcn"
}


def prepared(model: str, images: int) -> Task:
    module, (learned, shown, labels) = MODELS[model]()
    logits = zoo.responses(module)(shown[:images]).astype(np.float64)
    return Task(module, learned[:CALIBRATION], shown[:images], labels[:images], logits)


def contenders(folder: str, against: str, steps: int, threads: int, only: str = "") -> dict[str, Contender]:
    """For each its measurement, a function of the number of images and of further options."""

    def sides(program: str, title: str, recipes: Mapping[str, str], **fixed: Any) -> dict[str, Contender]:
        return {f"{title}, {words}": partial(side, program, recipe=recipe, **fixed) for recipe, words in recipes.items()
                if not only or recipe in only.split(",")}  # fmt: skip

    def side(program: str, **more: Any) -> dict[str, Any]:
        return script(PEERS / f"{program}_conversion.py", folder, *options(**{"steps": steps, "threads": threads} | more))

    peers = {"spikingjelly": sides("spikingjelly", "SpikingJelly", RECIPES)}
    return sides("spikesim", "spikesim", OURS, lengths=",".join(str(t) for t in SHOWN if t <= steps)) | peers[against]


def main(
    against: Annotated[str, typer.Option(help="spikingjelly")] = "spikingjelly",
    model: Annotated[str, typer.Option(help=", ".join(MODELS))] = "lenet",
    images: Annotated[int, typer.Option(help="For accuracy, error and spikes.")] = 10_000,
    timed: Annotated[int, typer.Option(help="Images for a time, which are shown for --timed-steps.")] = 1024,
    steps: Annotated[int, typer.Option(help="For which an image is shown.")] = 64,
    threads: Annotated[int, typer.Option(help="Cores that each side has.")] = 2,
    rounds: Annotated[int, typer.Option(help="How often each is timed.")] = 3,
    timed_steps: Annotated[int, typer.Option(help="Steps for a time.")] = 8,
    only: Annotated[str, typer.Option(help=f"Some of {', '.join([*OURS, *RECIPES])}, with commas; plain is one of each side.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to keep all figures.")] = None,
) -> None:
    check(
        against, model, {"images": images, "timed": timed, "steps": steps, "threads": threads, "rounds": rounds, "timed-steps": timed_steps}
    )
    console = Console(width=max(WIDTH, Console().width))
    task = prepared(model, images)
    with tempfile.TemporaryDirectory() as folder:
        write(folder, task)
        sides = contenders(folder, against, steps, threads, only)
        some = {"images": min(timed, len(task.images)), "steps": timed_steps, "lengths": None}
        times = timings(console, sides, some, rounds)
        found = {name: measure(images=len(task.images), **same(times[name])) | summary(times[name]) for name, measure in sides.items()}
    ann = float(np.mean(task.logits.argmax(axis=1) == task.labels))
    print_table(console, f"{model}: {len(task.images):,} images, {steps} steps, {threads} cores", ann, found)
    print_crossover(console, found)
    console.print(", ".join(f"{name} {version}" for name, version in versions().items()))
    if json_file is not None:
        json_file.write_text(
            json.dumps({"model": model, "ann_accuracy": ann, "versions": versions(), "contenders": found}, indent=1) + "\n"
        )


def check(against: str, model: str, numbers: Mapping[str, int]) -> None:
    """Raise `typer.BadParameter` for what does not exist or cannot be."""
    if against != "spikingjelly":
        raise typer.BadParameter(f"conversion is not compared with {against!r}; there is spikingjelly", param_hint="--against")
    if model not in MODELS:
        raise typer.BadParameter(f"there is no model {model!r}; there is {', '.join(MODELS)}", param_hint="--model")
    for name, number in numbers.items():
        if number < 1:
            raise typer.BadParameter(f"expected at least 1, got {number}", param_hint=f"--{name}")


def timings(console: Console, sides: Mapping[str, Contender], some: Mapping[str, Any], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """The figures of each round, with some images only; peers choose their batch in the first round."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for round_ in range(rounds):
        for name, measure in sides.items():
            quiet = wait_for_quiet()
            found[name].append(measure(**some, **same(found[name])))
            note = "" if quiet else f"  (the machine was not quiet: load {os.getloadavg()[0]:.1f})"
            console.print(f"round {round_ + 1} {name}: {found[name][-1]['ms_per_image_step']:.4g} ms an image and step{note}")
    return found


def same(earlier: list[dict[str, Any]]) -> dict[str, int]:
    """Options with which a measurement goes on as it began."""
    return {"batch": earlier[0]["batch"]} if earlier and "batch" in earlier[0] else {}


def summary(timed: list[dict[str, Any]]) -> dict[str, Any]:
    """The times, and the activity in them."""
    return {"ms_per_image_step": [each["ms_per_image_step"] for each in timed], "timed_activity": timed[0]["spikes_per_neuron_step"]}


def print_table(console: Console, title: str, ann: float, found: Mapping[str, dict[str, Any]]) -> None:
    """Accuracies in percent, the torch module's first; times as median with spread, and how many times slower, round by round."""
    ours = next(iter(found.values()))
    after = [t for t in SHOWN if t <= len(ours["accuracy"])]
    table = Table(title=title)
    for column in ("", *(f"T={t}" for t in after), "error", "spikes", "operations", "memory (GB)", "ms", "times slower"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("torch", *[f"{100 * ann:.2f}"] * len(after), *[""] * 6)
    for name, figures in found.items():
        ratios = [theirs / our for theirs, our in zip(figures["ms_per_image_step"], ours["ms_per_image_step"], strict=True)]
        operations = f"{figures['operations_per_step'] / 1e6:.3g} M" if "operations_per_step" in figures else ""
        table.add_row(name, *(f"{100 * figures['accuracy'][t - 1]:.2f}" for t in after), f"{figures['error'][-1]:.4f}",
                      f"{figures['spikes_per_neuron_step']:.3f}", operations, f"{figures['peak_memory_bytes'] / 1e9:.2f}",
                      spread(figures["ms_per_image_step"]), spread(ratios))  # fmt: skip
        if "accuracy_delayed" in figures:
            table.add_row("  read later", *(f"{100 * figures['accuracy_delayed'][str(t)]:.2f}" for t in after), *[""] * 6)
    console.print(table)
    console.print(LEGEND)


def print_crossover(console: Console, found: Mapping[str, dict[str, Any]]) -> None:
    """How many spikes spikesim may have to be as fast as the fastest peer, whose time does not depend on them."""
    medians = {name: statistics.median(figures["ms_per_image_step"]) for name, figures in found.items()}
    fastest = min((name for name in found if "batch" in found[name]), key=medians.__getitem__, default=None)
    ours = {figures["timed_activity"]: medians[name] for name, figures in found.items() if "batch" not in figures}
    if fastest is not None and len(ours) > 1:
        fixed, activity = crossover(ours, medians[fastest])
        at = f"as fast as {fastest} at {activity:.3g} spikes a neuron and step" if activity > 0.0 else f"never as fast as {fastest}"
        console.print(f"spikesim: {fixed:.3g} ms without spikes (a line through its recipes), {at}")


def crossover(ours: Mapping[float, float], theirs: float) -> tuple[float, float]:
    """The time of no spikes and the activity at which the time is ``theirs``, of the line that fits times by activity best."""
    slope, fixed = np.polyfit(list(ours), list(ours.values()), 1)
    return float(fixed), float((theirs - fixed) / slope)


def spread(numbers: list[float]) -> str:
    return f"{statistics.median(numbers):.3g} ({min(numbers):.3g} .. {max(numbers):.3g})"


if __name__ == "__main__":
    typer.run(main)
