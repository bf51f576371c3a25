"""The converted network: images in, spikes inside, outputs and their cost out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from spikesim.convert.calibrate import CURRENT, LATENCY, POISSON, RATE, SIGNED, Calibration, Quantum, calibrate
from spikesim.convert.cost import FanOut, fan_out_of
from spikesim.convert.graph import READ_OUT, Graph, inside, outside
from spikesim.convert.lower import Lowered, analog_part, lower
from spikesim.convert.operators import Shape
from spikesim.convert.report import ConversionReport, report_of
from spikesim.convert.rewrite import rewrite
from spikesim.convert.split import stairs
from spikesim.convert.stepper import Stepper
from spikesim.convert.trace import trace
from spikesim.convert.tune import tune
from spikesim.description import checked_number, frozen_array, limits
from spikesim.errors import DescriptionError, KindError, UnsupportedError
from spikesim.network import Network
from spikesim.recorder import NeuronCounts
from spikesim.recording import Recording
from spikesim.simulation import Simulation
from spikesim.trials import Confidence, Silence

if TYPE_CHECKING:
    from spikesim.convert.comparison import Comparison
    from spikesim.convert.energy import EnergyConstants

MARGIN = limits(None, above=0.0, varies=False)
BITS = {RATE: 16, SIGNED: 32}  # of weights: rates are coarser than their rounding, what settles is compared to the last digit
PRECISION = {RATE: None, SIGNED: "float64"}  # of potentials, likewise; None is that of the engine, float32 on "cpu"
MEMORY = 1 << 28  # bytes of currents and spike counts that are held at once


@dataclass(frozen=True)
class SpikingResult:
    """What a converted network did with some images.

    outputs: float64 (steps, images, *shape), the output after each step, which stays what it was once an image has ended;
    ended: int64 (images,), the steps each image took; spikes, synaptic_operations: for each population int64 (images,), its
    spikes (relays do not count as neurons: their graded spikes are in ``relayed``), and the additions they caused; counts:
    for each population int64 (images, neurons), if asked for, in torch's order; seconds: wall time.
    """

    outputs: np.ndarray
    ended: np.ndarray
    spikes: dict[str, np.ndarray]
    relayed: dict[str, np.ndarray]
    synaptic_operations: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    seconds: float

    @property
    def total_spikes(self) -> np.ndarray:
        """The spikes of all neurons, int64 (images,)."""
        return sum(self.spikes.values(), np.zeros(len(self.ended), np.int64))

    @property
    def total_operations(self) -> np.ndarray:
        """All additions that spikes caused, those that relays pass on included, int64 (images,)."""
        return sum(self.synaptic_operations.values(), np.zeros(len(self.ended), np.int64))

    @property
    def predictions(self) -> np.ndarray:
        """The class with the largest output after the last step, int64 (images,), or (images, *shape without the last axis)."""
        return self.outputs[-1].argmax(axis=-1)

    def accuracy(self, labels: Any) -> np.ndarray:
        """The share of right predictions after each step, float64 (steps,)."""
        labels = frozen_array(labels, "accuracy: labels", dtype=np.int64)
        if labels.shape != self.outputs.shape[1:2] or self.outputs.ndim != 3:
            raise DescriptionError(f"accuracy: expected outputs (steps, images, classes) and one label for each of "
                                   f"{self.outputs.shape[1]} images, got {self.outputs.shape} and {labels.shape}")  # fmt: skip
        if labels.min() < 0 or labels.max() >= self.outputs.shape[2]:
            raise DescriptionError(f"accuracy: expected labels from 0 to {self.outputs.shape[2] - 1}, got {labels.min()} to {labels.max()}")
        return (self.outputs.argmax(axis=2) == labels).mean(axis=1)


class _Trial(NamedTuple):
    """What is kept of one image."""

    sums: np.ndarray  # of the read-out after each step, float64 (steps, outputs), the last one repeated
    steps: int  # until its end
    spikes: np.ndarray  # of each population that is counted, int64
    operations: np.ndarray
    counts: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class ConvertedNetwork:
    """A spiking network made from a torch module: its description, a report, and ways to run it."""

    report: ConversionReport
    shape: Shape  # of an image, as the module takes it
    graph: Graph
    quanta: Mapping[str, Quantum]
    lowered: Lowered
    coding: str
    input: str = CURRENT

    @property
    def network(self) -> Network:
        return self.lowered.network

    def stepper(self) -> Stepper:
        """The same network as a torch module with gradients; its input is a current."""
        if self.input != CURRENT:
            raise UnsupportedError(f"stepper: the dense stepper takes the image as a current, the network as {self.input!r} spikes; "
                                   f"convert with input={CURRENT!r}")  # fmt: skip
        return Stepper(self.graph, self.quanta, coding=self.coding)

    def quantised(self, images: Any) -> np.ndarray:
        """The output to which signed coding settles: that of the network with every activation rounded to its quantum."""
        if self.coding != SIGNED:
            raise DescriptionError("quantised: rate coding does not settle; convert with coding='signed'")
        shown = inside(self.graph, self._checked(images, "quantised"))
        with torch.no_grad():
            settled = stairs(self.graph, self.quanta, shown, coding=SIGNED, steps=1)[self.graph.output]
            return outside(self.graph, settled).numpy()

    def run(self, images: Any, *, steps: int, confidence: float | None = None, counts: bool = False, engine: str = "cpu",
            precision: str | None = None, progress: bool = True) -> SpikingResult:  # fmt: skip
        """Show each image for at most ``steps`` steps, every image from rest, side by side on all cores.

        images: (n, *input shape), as the module takes them. The linear operators before the first neurons are computed once an
        image and given as a constant current (with input="poisson" or "latency" they see spikes, too, and image k draws from
        seed k); all others see spikes only. ``confidence``: end an image when its largest
        output leads the second by so much. In signed coding an image ends when no neuron fires any more. ``counts`` keeps
        the spikes of each neuron. precision: of the neurons' state, "float32", the default in rate coding, or "float64", the default
        in signed coding, which needs it, and on engine="reference".
        """
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
            raise DescriptionError(f"run: expected a whole number of steps from 1 on, got {steps!r}")
        images = self._checked(images, "run")
        started = time.perf_counter()
        simulation = Simulation(self.network, dt=1.0, engine=engine, threads=1, precision=precision or PRECISION[self.coding],
                                weight_bits=BITS[self.coding], progress=progress)  # fmt: skip
        fan_out = fan_out_of(self.network)
        kept = partial(self._kept, steps=steps, fan_out=fan_out, keep=counts)
        options = {"until": self._until(confidence), "keep": kept, "progress": progress}
        some, counted = self._at_once(counts), list(fan_out.counted)
        parts = [self._some(simulation, images[at : at + some], at, steps, counted, options) for at in range(0, len(images), some)]
        return _joined(parts, time.perf_counter() - started)

    def compare(self, images: Any, labels: Any = None, *, steps: int = 64, sample: int = 64, constants: EnergyConstants | None = None,
                progress: bool = True) -> Comparison:  # fmt: skip
        """Run images and set the outcome beside the module's; see `spikesim.convert.comparison.compare`."""
        from spikesim.convert.comparison import compare

        return compare(self, images, labels, steps=steps, sample=sample, constants=constants, progress=progress)

    def _until(self, confidence: float | None) -> Any:
        if self.coding == SIGNED:
            if confidence is not None:
                raise DescriptionError("run: confidence is for rate coding; in signed coding an image ends when it has settled")
            return Silence(self.quanta[self.graph.input.name].burst if self.input == LATENCY else 1)
        if confidence is None:
            return None
        return Confidence(READ_OUT, checked_number(confidence, "run: confidence", MARGIN))

    def _at_once(self, counts: bool) -> int:
        """How many images to run at once, for each of which there are currents, and the spike counts if they are kept."""
        populations = self.network.populations
        held = sum(len(populations[name]) for name in (populations if counts else self.lowered.shown))
        return max(1, MEMORY // max(16 * held, 1))

    def _some(self, simulation: Simulation, images: np.ndarray, first: int, steps: int, names: list[str],
              options: dict[str, Any]) -> SpikingResult:  # fmt: skip
        """The result of some images, of which the first has this number; ``names`` of the populations that are counted."""
        shown = self.inputs(images)
        if self.input == POISSON:
            given = {"rates": shown, "seeds": range(first, first + len(images))}
        else:
            given = {"currents": shown}
        trials = simulation.trials(float(steps), **given, **options)
        relays = self.lowered.relays
        spikes = dict(zip(names, np.stack([trial.spikes for trial in trials], axis=1), strict=True))
        operations = dict(zip(names, np.stack([trial.operations for trial in trials], axis=1), strict=True))
        return SpikingResult(
            self._outputs(np.stack([trial.sums for trial in trials], axis=1)), np.array([trial.steps for trial in trials]),
            {name: found for name, found in spikes.items() if name not in relays},
            {name: found for name, found in spikes.items() if name in relays}, operations,
            {name: np.stack([trial.counts[name] for trial in trials]) for name in trials[0].counts}, 0.0,
        )  # fmt: skip

    def _kept(self, recording: Recording, steps: int, fan_out: FanOut, keep: bool) -> _Trial:
        """What is kept of an image; ``keep`` the counts."""
        assert isinstance(recording.counts, NeuronCounts)
        sums = recording.trace(READ_OUT, "v").values
        values = sums / np.arange(1, len(sums) + 1)[:, None] if self.coding == RATE else sums
        spikes, operations = fan_out.cost(recording.counts.totals)
        kept = [name for name in fan_out.counted if keep and name not in self.lowered.relays]
        return _Trial(np.concatenate([values, np.repeat(values[-1:], steps - len(values), axis=0)]), round(recording.duration),
                      spikes, operations,
                      {name: recording.counts[name].values[np.argsort(self.lowered.places[name].order)] for name in kept})  # fmt: skip

    def inputs(self, images: Any) -> dict[str, np.ndarray]:
        """What the populations that see the images get, (n, size) by name: currents, or the rates of Poisson spikes (Hz).

        That is what `Simulation.trials` takes as currents or rates, for a network that runs elsewhere.
        """
        values = inside(self.graph, self._checked(images, "inputs"))
        if self.input != CURRENT:
            self._check_range(values.numpy())
        analog = analog_part(self.graph, values, wanted=self.lowered.shown.values())
        found = {name: self.lowered.place(name).stored(analog[node]) for name, node in self.lowered.shown.items()}
        if self.input == POISSON:
            return {name: 1e3 * numbers / self.lowered.place(name).worth for name, numbers in found.items()}
        return found

    def _check_range(self, values: np.ndarray) -> None:
        quantum = self.quanta[self.graph.input.name]
        most = float(quantum.worth.max()) * quantum.most
        if values.min() < 0.0 or values.max() > most * (1.0 + 1e-9):
            raise DescriptionError(f"run: input={self.input!r} expresses values from 0 to {most:g}, the largest of the calibration, and "
                                   f"the images reach from {values.min():g} to {values.max():g}; scale them, or calibrate "
                                   "with them")  # fmt: skip

    def _outputs(self, values: np.ndarray) -> np.ndarray:
        """The outputs (steps, images, *shape) for what the read-out gave (steps, images, neurons)."""
        ordered = np.empty_like(values)
        ordered[..., self.lowered.read_out.order] = values
        flat = ordered.reshape(-1, *self.graph.nodes[self.graph.output].shape)
        with torch.no_grad():
            shown = outside(self.graph, torch.from_numpy(flat)).numpy()
        return shown.reshape(*values.shape[:2], *shown.shape[1:])

    def _checked(self, images: Any, what: str) -> np.ndarray:
        images, shape = checked_images(images, f"{what}: images"), self.shape
        if images.shape[1:] != shape:
            raise DescriptionError(f"{what}: expected images of shape (n, {', '.join(map(str, shape))}), got {images.shape}")
        return images


def from_torch(module: nn.Module, calibration: Any, *, coding: str = RATE, percentile: float = 99.9, method: str = "percentile",
               steps: int = 32, levels: int = 32, burst: int = 1, tuned: bool = False,
               input: str = CURRENT, allow_analog: Sequence[Any] = ()) -> ConvertedNetwork:  # fmt: skip
    """Convert a trained torch module into a network of spiking neurons.

    calibration: inputs like those to come, (n, *input shape), from which thresholds are taken. coding: "rate", the value of a
    neuron is its spikes per step; "signed", spikes of both signs send changes until the network has settled to the quantised
    module. method: "percentile" of each channel's activations, or "mse", the least error at ``steps`` steps. levels: of
    signed coding, the quanta up to the percentile; nothing is clipped there but quantised activations of the module itself.
    burst: the most spikes that a neuron sends in a step, as one graded spike. In rate coding a spike is worth the percentile
    divided by it; from 2 on rectifiers take back what they have sent too much with negative spikes, which makes rates several
    times more exact (burst spikes: Li & Zeng 2022). With 1, the default, they send plain spikes. tuned: fit biases and first
    potentials to ``steps`` steps, for rate coding with few of them. input: "current", or for images without negative values
    "poisson" spikes (rate coding) or "latency", one spike a value within ``levels`` steps (signed coding).

    Raises `ConversionError` that names every operator that cannot be converted, with its place in the module.
    """
    chosen = Calibration(coding=coding, method=method, percentile=percentile, levels=levels, steps=steps, burst=burst, tuned=tuned,
                         input=input)  # fmt: skip
    images = checked_images(calibration, "from_torch: calibration")
    graph = rewrite(trace(module, images, allow_analog=allow_analog))
    shown = inside(graph, images)
    quanta = calibrate(graph, shown, chosen)
    if tuned:
        graph, quanta = tune(graph, quanta, shown, steps=steps)
    lowered = lower(graph, quanta, coding=coding, input=input)
    return ConvertedNetwork(report_of(graph, quanta, lowered, chosen), images.shape[1:], graph, quanta, lowered, coding, input)


def checked_images(images: Any, what: str) -> np.ndarray:
    """A batch of images as float64."""
    if isinstance(images, torch.Tensor):
        if images.is_meta or images.is_complex():
            raise KindError(f"{what}: expected real numbers, got a tensor of {images.dtype} on the device {images.device}")
        images = images.detach().cpu().to_dense().double().numpy()
    array = frozen_array(images, what)
    if array.ndim < 2 or len(array) == 0:
        raise DescriptionError(f"{what}: expected shape (n, *input shape) with at least one image, got {array.shape}")
    if not np.isfinite(array).all():
        raise DescriptionError(f"{what}: expected finite numbers, found nan or infinity")
    return array


def _joined(parts: Sequence[SpikingResult], seconds: float) -> SpikingResult:
    def together(field: str) -> dict[str, np.ndarray]:
        return {name: np.concatenate([getattr(part, field)[name] for part in parts]) for name in getattr(parts[0], field)}

    return SpikingResult(np.concatenate([part.outputs for part in parts], axis=1), np.concatenate([part.ended for part in parts]),
                         together("spikes"), together("relayed"), together("synaptic_operations"), together("counts"), seconds)  # fmt: skip
