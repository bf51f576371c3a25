"""The same trained network converted to spikes by spikesim and by SpikingJelly, shown the same constant images.

    python examples/benchmarks/conversion.py --against spikingjelly [--model digits] [--images 10000] [--steps 64] [--json FILE]

Both calibrate with the same 1,000 training images. Accuracy, error and spikes come from all images; times from fewer, in
turn, each side in a process of its own on the same cores. The table tells how far each is from the network in torch.
"""

import json
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from contest import PEERS, options
from peers.conversion_figures import Task, write
from rich.console import Console
from rich.table import Table
from side_by_side import WIDTH, script, wait_for_quiet
from torch import nn

from spikesim.info import versions
from spikesim.models.data import digits
from spikesim.models.lenet import digits_lenet
from spikesim.models.train import train

CALIBRATION = 1000  # images
SHOWN = (2, 4, 8, 16, 32, 64)  # steps after which the accuracy is in the table
RECIPES = {"plain": "99.9 %", "best": "99.9 %, by channel, half threshold", "balanced": "local threshold balancing"}
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
Contender = Callable[..., dict[str, Any]]


def digits_network() -> tuple[nn.Module, Arrays]:
    split = digits()
    module = train(digits_lenet(), split.train_images, split.train_labels)
    return module, (split.train_images, split.test_images, split.test_labels)


MODELS: dict[str, Callable[[], tuple[nn.Module, Arrays]]] = {
    "digits": digits_network
}  # a trained module; training images, test images, labels


def prepared(model: str, images: int) -> Task:
    module, (learned, shown, labels) = MODELS[model]()
    with torch.no_grad():
        logits = torch.cat([module(some) for some in torch.as_tensor(shown[:images]).split(500)]).double().numpy()
    return Task(module, learned[:CALIBRATION], shown[:images], labels[:images], logits)


def contenders(folder: str, against: str, steps: int, threads: int) -> dict[str, Contender]:
    """For each its measurement, a function of the number of images and of further options."""

    def side(name: str, **fixed: str) -> Contender:
        return lambda **more: script(PEERS / f"{name}_conversion.py", folder, *options(steps=steps, threads=threads, **fixed, **more))

    peers = {"spikingjelly": {f"SpikingJelly, {words}": side("spikingjelly", recipe=recipe) for recipe, words in RECIPES.items()}}
    return {"spikesim": side("spikesim"), **peers[against]}


def main(
    against: Annotated[str, typer.Option(help="spikingjelly")] = "spikingjelly",
    model: Annotated[str, typer.Option(help=", ".join(MODELS))] = "digits",
    images: Annotated[int, typer.Option(help="For accuracy, error and spikes.")] = 10_000,
    timed: Annotated[int, typer.Option(help="Images for a time.")] = 1024,
    steps: Annotated[int, typer.Option(help="For which an image is shown.")] = 64,
    threads: Annotated[int, typer.Option(help="Cores that each side has.")] = 2,
    rounds: Annotated[int, typer.Option(help="How often each is timed.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to keep all figures.")] = None,
) -> None:
    check(against, model, {"images": images, "timed": timed, "steps": steps, "threads": threads, "rounds": rounds})
    console = Console(width=max(WIDTH, Console().width))
    task = prepared(model, images)
    with tempfile.TemporaryDirectory() as folder:
        write(folder, task)
        sides = contenders(folder, against, steps, threads)
        found = measured(console, sides, images=len(task.images), timed=min(timed, len(task.images)), rounds=rounds)
    ann = float(np.mean(task.logits.argmax(axis=1) == task.labels))
    print_table(console, f"{model}: {len(task.images):,} images, {steps} steps, {threads} cores", ann, found)
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


def measured(console: Console, sides: Mapping[str, Contender], *, images: int, timed: int, rounds: int) -> dict[str, dict[str, Any]]:
    """The figures of each from all images, with all its times, taken in turn; peers choose their batch in the first round."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    batches: dict[str, int | None] = {}
    for round_ in range(rounds):
        for name, measure in sides.items():
            quiet = wait_for_quiet()
            figures = measure(images=timed, **({"batch": batches[name]} if name in batches else {}))
            batches |= {name: figures["batch"]} if "batch" in figures else {}
            times[name].append(figures["ms_per_image_step"])
            note = "" if quiet else "  (the machine was not quiet)"
            console.print(f"round {round_ + 1} {name}: {times[name][-1]:.4g} ms an image and step{note}")
    return {name: measure(images=images, **({"batch": batches[name]} if name in batches else {})) | {"ms_per_image_step": times[name]}
            for name, measure in sides.items()}  # fmt: skip


def print_table(console: Console, title: str, ann: float, found: Mapping[str, dict[str, Any]]) -> None:
    """Accuracies in percent, the torch module's first; times as median with spread, and how many times slower, round by round."""
    ours = next(iter(found.values()))
    after = [t for t in SHOWN if t <= len(ours["accuracy"])]
    table = Table(title=title)
    for column in ("", *(f"T={t}" for t in after), "error", "spikes", "memory (GB)", "ms", "times slower"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("torch", *[f"{100 * ann:.2f}"] * len(after), "", "", "", "", "")
    for name, figures in found.items():
        ratios = [theirs / our for theirs, our in zip(figures["ms_per_image_step"], ours["ms_per_image_step"], strict=True)]
        table.add_row(name, *(f"{100 * figures['accuracy'][t - 1]:.2f}" for t in after), f"{figures['error'][-1]:.4f}",
                      f"{figures['spikes_per_neuron_step']:.3f}", f"{figures['peak_memory_bytes'] / 1e9:.2f}",
                      spread(figures["ms_per_image_step"]), spread(ratios))  # fmt: skip
        if "accuracy_delayed" in figures:
            table.add_row("  read later", *(f"{100 * figures['accuracy_delayed'][str(t)]:.2f}" for t in after), "", "", "", "", "")
    console.print(table)
    console.print(
        "error: of the last outputs, relative; spikes: a neuron and step; ms: an image and step; read later: without the first steps"
    )


def spread(numbers: list[float]) -> str:
    return f"{statistics.median(numbers):.3g} ({min(numbers):.3g} .. {max(numbers):.3g})"


if __name__ == "__main__":
    typer.run(main)
