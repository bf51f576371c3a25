"""The comparison of a converted network with its module on data: accuracy over steps, error by cause, work and energy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spikesim.convert.calibrate import BATCH
from spikesim.convert.converted import ConvertedNetwork, SpikingResult, checked_images
from spikesim.convert.energy import Energy, EnergyConstants, energy
from spikesim.convert.graph import READ_OUT, inside
from spikesim.convert.report import ConversionReport
from spikesim.convert.score import Score, checked_labels, score
from spikesim.convert.split import ErrorSplit, error_split
from spikesim.convert.trace import read_out
from spikesim.convert.work import Work, work_of
from spikesim.errors import DescriptionError, KindError

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

RELAY, INPUT = "relay", "input"
CONSTANT = "The operators that see the image are multiply-accumulates, done once an image: they enter as a constant current."
PARTS_NOTE = ("Error: L2 norm relative to the module's values, without a softmax. The parts add up to the total as vectors; their norms "
              "are at least as large together. Earlier layers' errors are included.")  # fmt: skip
SENT_NOTE = ("MACs and synaptic operations (ops) count where a value is sent from: operators of the module that read it, additions that "
             "its spikes cause. Rate: spikes per neuron and step.")  # fmt: skip


@dataclass(frozen=True)
class LayerComparison:
    """One layer.

    neuron: its model, "input", "relay" (a linear value that is passed on as graded spikes) or what the read-out does; neurons:
    its size; work: what it costs, None for the read-out; error: of its values, None for the input and relays.
    """

    name: str
    where: str
    neuron: str
    neurons: int
    work: Work | None
    error: ErrorSplit | None


@dataclass(frozen=True)
class Comparison:
    """A converted network beside its module, on ``images`` images for ``steps`` steps.

    score: of the outputs after each step; layers: from the input to the read-out; errors are those of the first ``sample``
    images after ``steps`` steps; energy: of one image; mean_steps: that an image took (fewer where it ended early); seconds:
    wall time of the run. Printing it gives a table; `save` writes JSON or a page of HTML.
    """

    report: ConversionReport
    coding: str
    steps: int
    images: int
    sample: int
    score: Score
    layers: tuple[LayerComparison, ...]
    energy: Energy
    mean_steps: float
    seconds: float

    @property
    def work(self) -> Work:
        """The work of all layers together; its rate is that of all neurons."""
        return _total(self.layers)

    def data(self) -> dict[str, Any]:
        """The comparison as plain data, ready for JSON; numbers that JSON has not are None."""
        own = {name: getattr(self, name) for name in ("coding", "steps", "images", "sample", "mean_steps", "seconds")}
        parts = {"score": asdict(self.score), "layers": [asdict(layer) for layer in self.layers], "total": asdict(self.work),
                 "energy_nj": asdict(self.energy) | {"sources": self.energy.constants.sources()}, "report": self.report.data()}  # fmt: skip
        return _plain(own | parts)

    def save(self, path: str | Path) -> None:
        """Write to a file: ".json", the `data`; ".html", a page that needs no other file and no network."""
        path = Path(path)
        if path.suffix.lower() == ".json":
            text = json.dumps(self.data(), indent=1, allow_nan=False) + "\n"
        elif path.suffix.lower() in (".html", ".htm"):
            from spikesim.convert.html import page

            text = page(self)
        else:
            raise DescriptionError(f"Comparison.save: expected a name that ends in .json or .html, got {path.name!r}")
        path.write_text(text, encoding="utf-8")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from spikesim.convert.tables import rendered

        yield from rendered(self, options.max_width)

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=StringIO(), color_system=None)
        with console.capture() as capture:
            console.print(self)
        return capture.get().rstrip("\n")


def compare(converted: ConvertedNetwork, images: Any, labels: Any = None, *, steps: int = 64, sample: int = 64,
            constants: EnergyConstants | None = None, progress: bool = True) -> Comparison:  # fmt: skip
    """Run a converted network on images and set the outcome beside what the module computes.

    images: (n, *input shape). labels: classes (n,), or (n, *shape without the last axis), for accuracy; targets of the
    output's shape for the error relative to them; None for the error relative to the module's output. sample: how many
    images, the first ones, give the error of each layer, split into clipping, quantisation and unevenness
    (`spikesim.convert.split`), from a dense copy of the network that computes every neuron in every step. constants: what
    operations cost (`spikesim.convert.energy`).
    """
    sample = _whole(sample, "compare: sample")
    steps = _whole(steps, "compare: steps")
    images = checked_images(images, "compare: images")
    graph = converted.graph
    labels = checked_labels(labels, len(images), graph.nodes[graph.output].shape)
    result = converted.run(images, steps=steps, progress=progress)
    layers = _layers(converted, result, images[:sample], steps)
    return Comparison(
        report=converted.report, coding=converted.coding, steps=steps, images=len(images), sample=min(sample, len(images)),
        score=score(module_outputs(converted, images), result.outputs, labels), layers=layers,
        energy=_energy(converted, layers, constants), mean_steps=float(result.ended.mean()), seconds=result.seconds,
    )  # fmt: skip


def module_outputs(converted: ConvertedNetwork, images: np.ndarray) -> np.ndarray:
    """What the module gives for images, float64 (n, *shape)."""
    with torch.no_grad():
        return torch.cat([read_out(converted.graph, torch.tensor(images[at : at + BATCH])) for at in range(0, len(images), BATCH)]).numpy()


def _layers(converted: ConvertedNetwork, result: SpikingResult, images: np.ndarray, steps: int) -> tuple[LayerComparison, ...]:
    graph = converted.graph
    neurons = {layer.population: layer.neuron for layer in converted.report.layers} | {graph.input.name: INPUT}
    work = work_of(converted, result)
    errors = error_split(graph, converted.quanta, inside(graph, images).numpy(), coding=converted.coding, steps=steps)
    rows = [LayerComparison(name, graph.nodes[name].where, neurons.get(name, RELAY), graph.nodes[name].size, done, errors.get(name))
            for name, done in work.items()]  # fmt: skip
    output = graph.nodes[graph.output]
    return (*rows, LayerComparison(READ_OUT, output.where, neurons[READ_OUT], output.size, None, errors[READ_OUT]))


def _total(layers: tuple[LayerComparison, ...]) -> Work:
    found = [(layer.neurons if layer.error else 0, layer.work) for layer in layers if layer.work is not None]
    sums = {entry.name: sum(getattr(work, entry.name) for _, work in found) for entry in fields(Work) if entry.name not in ("macs", "rate")}
    rate = sum(size * work.rate for size, work in found) / max(sum(size for size, _ in found), 1)
    return Work(macs=sum(work.macs for _, work in found), rate=rate, **sums)


def _energy(converted: ConvertedNetwork, layers: tuple[LayerComparison, ...], constants: EnergyConstants | None) -> Energy:
    """The energy of an image; spikes of neurons that may send more than one at once are graded, as those of relays."""
    total = _total(layers)
    bursts = sum(layer.work.operations for layer in layers if layer.work and layer.error and converted.quanta[layer.name].burst > 1)
    return energy(macs=total.macs, analog_macs=converted.report.input_macs, operations=total.operations - bursts,
                  graded_operations=total.relayed_operations + bursts, constants=constants)  # fmt: skip


def _whole(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise KindError(f"{what}: expected a whole number, got {value!r}")
    if value < 1:
        raise DescriptionError(f"{what}: expected at least 1, got {value}")
    return int(value)


def _plain(value: Any) -> Any:
    """The value in the terms of JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list | np.ndarray):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
