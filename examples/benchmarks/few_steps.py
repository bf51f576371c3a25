"""How good a converted network is after two steps: as it was trained, and after some epochs with activations of few levels.

    python examples/benchmarks/few_steps.py [--model fashion_resnet20] [--epochs 5] [--levels 2] [--images 10000] [--threads 2]

`finetune_qcfs` (Bu et al. 2022) goes on training the model of the zoo on its training images; the result and the model are
converted with plain spikes and with bursts. Prints the accuracy after 1, 2, 4, 8 steps. An epoch of fashion_resnet20 takes minutes.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import nn

from spikesim.convert import finetune_qcfs, from_torch
from spikesim.convert.finetune import quantise
from spikesim.models import zoo

CALIBRATION = 1000  # images
AFTER = (1, 2, 4, 8)  # steps
CODINGS = {"plain spikes": {}, "bursts of 4": {"burst": 4, "percentile": 100.0}}
CONSOLE = Console()


def accuracies(module: nn.Module, calibration: np.ndarray, images: np.ndarray, labels: np.ndarray, **coding: float) -> list[float]:
    """Of the converted module, after each of ``AFTER`` steps."""
    snn = from_torch(module, calibration, **coding)
    found = snn.run(images, steps=max(AFTER)).accuracy(labels)
    return [float(found[steps - 1]) for steps in AFTER]


def trained(name: str, data: zoo.data.Task, weights: Path | None, **training: int) -> nn.Module:
    """The model with activations of few levels, trained on, or as saved in ``weights``."""
    if weights is not None and weights.exists():
        few = torch.as_tensor(data.train_inputs[:64])  # what thresholds they give is overwritten
        module = quantise(zoo.trained(name), few, levels=training["levels"], percentile=99.0, per_channel=True)
        module.load_state_dict(torch.load(weights, weights_only=True))
        return module.eval()
    module = finetune_qcfs(zoo.trained(name), (data.train_inputs, data.train_targets), batch=128, **training,
                           progress=lambda epoch, loss: CONSOLE.print(f"epoch {epoch}: mean loss {loss:.4f}"))  # fmt: skip
    if weights is not None:
        torch.save(module.state_dict(), weights)
    return module


def main(
    model: str = "fashion_resnet20",
    epochs: int = 5,
    levels: int = 2,
    images: int = 10_000,
    threads: int = 2,
    weights: Annotated[Path | None, typer.Option(help="Where the trained weights are kept.")] = None,
) -> None:
    data = zoo.entry(model).data()
    assert data.test_targets is not None
    shown, labels, calibration = data.test_inputs[:images], data.test_targets[:images], data.train_inputs[:CALIBRATION]
    learned = trained(model, data, weights, epochs=epochs, levels=levels, threads=threads)
    modules = {"as trained": zoo.trained(model), f"{epochs} epochs of {levels} levels": learned}
    table = Table("", "", "torch", *(f"T={steps}" for steps in AFTER), title=f"{model}, {len(labels):,} images: accuracy (%)")
    for words, module in modules.items():
        of_torch = float((zoo.responses(module)(shown).argmax(axis=1) == labels).mean())
        for coding, options in CODINGS.items():
            found = accuracies(module, calibration, shown, labels, **options)
            table.add_row(words, coding, *(f"{100 * each:.2f}" for each in (of_torch, *found)))
    CONSOLE.print(table)


if __name__ == "__main__":
    typer.run(main)
