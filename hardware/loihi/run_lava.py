"""An image run by Lava: its tables unrolled again into a circuit, and that into processes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikesim.hardware.loihi.circuit import Circuit, Port
from spikesim.hardware.loihi.fired import Fired, Traces, in_order, recording_of, traced, weights_of
from spikesim.hardware.loihi.image import ChipImage, ranges
from spikesim.hardware.loihi.lava import run_lava
from spikesim.hardware.loihi.lava_form import LavaForm, lava_form, side_by_side
from spikesim.hardware.loihi.lava_network import LavaResult
from spikesim.hardware.loihi.payload import check_input
from spikesim.recording import Recording, Weights, recorded


def circuit_of_image(image: ChipImage) -> Circuit:
    """The circuit that an image holds, read from its cores' tables alone."""
    source_of = image.source_of_neuron
    neuron_of = np.argsort(source_of)
    axons = image.routes
    runs = np.diff(image.list_starts)[image.axon_list[axons]]
    lengths = np.diff(image.run_starts[image.list_starts])[image.axon_list[axons]]
    sources = np.repeat(neuron_of[np.repeat(np.arange(len(source_of)), np.diff(image.route_starts))], lengths)
    first = image.run_starts[image.list_starts[image.axon_list[axons]]]
    picked = ranges(first, lengths)
    place = np.repeat(image.core_starts[image.axon_core[axons]] + image.axon_base[axons], lengths)
    targets = image.neuron[place + image.targets[picked]]
    run = np.repeat(ranges(image.list_starts[image.axon_list[axons]], runs),
                    np.diff(image.run_starts)[ranges(image.list_starts[image.axon_list[axons]], runs)])  # fmt: skip
    order = np.argsort(sources * image.neurons + targets, kind="stable")
    cells = {name: np.zeros(image.neurons, np.int64) for name in image.cells}
    for name, values in image.cells.items():
        cells[name][image.neuron] = values
    ports = tuple(Port(int(image.port_population[k]), f"lane {lane}" if lane else str(k), int(image.port_exponent[k]),
                       int(image.port_plastic[k])) for k, lane in enumerate(image.port_lane))  # fmt: skip
    return Circuit(image.names, image.shapes, image.starts, image.inputs, cells, ports,
                   np.searchsorted(sources[order], np.arange(image.neurons + 1)), targets[order].astype(np.int32),
                   image.weights[picked][order], image.run_delay[run][order], image.run_port[run][order],
                   np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32), image.rates, image.plastic)  # fmt: skip


def run_in_lava(image: ChipImage, steps: int, sent: Sequence[Fired], biases: Sequence[np.ndarray | None], *,
                seed: int, weights_every: int, **options: Any) -> list[Recording]:  # fmt: skip
    """A recording for each of the runs, which ``sent`` and ``biases`` are for: copies of the image side by side in one run of Lava."""
    circuit = circuit_of_image(image)
    graded = [each for each in sent if (each.sizes != 1).any()]
    for each in graded:
        check_input(circuit, each)
    form = lava_form(circuit, steps, seed=seed, graded=bool(graded))
    bias = np.stack([_by_neuron(image, circuit.cells["bias"], bias) for bias in biases])
    wanted = traced(image)
    kept = tuple(np.unique(form.number[wanted[form.process[wanted] == at]]) for at in range(len(form.network.cells)))
    network = side_by_side(form, circuit, steps, bias, sent, kept)
    (result,) = run_lava([network], steps, traces=len(wanted) > 0, weights_every=weights_every, **options)
    made = [_recording(image, form, result, steps, run, len(sent), sent[run], wanted, kept) for run in range(len(sent))]
    weights = _weights(image, circuit, form, result, weights_every) if image.plastic else {}
    return [replace(recording, weights=recorded("weights", weights)) for recording in made]


def _by_neuron(image: ChipImage, own: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    made = own.copy()
    if bias is not None:
        made[image.neuron] = bias
    return made


def _recording(image: ChipImage, form: LavaForm, result: LavaResult, steps: int, run: int, runs: int, sent: Fired,
               wanted: np.ndarray, kept: tuple[np.ndarray, ...]) -> Recording:  # fmt: skip
    """That of one of the ``runs`` that a result is of."""
    parts = [sent]
    for at, spikes in enumerate(result.spikes):
        members = np.flatnonzero(form.process == at)
        own = spikes.reshape(steps, runs, len(members))[:, run]
        fired, number = np.nonzero(own)
        parts.append(Fired(fired + 1, members[number], own[fired, number]))
    traces = np.zeros((2, steps, len(wanted)), np.int64)
    for at in np.unique(form.process[wanted]):
        here = form.process[wanted] == at
        column = np.searchsorted(kept[at], form.number[wanted[here]])
        for k, found in enumerate((result.u, result.v)):
            traces[k][:, here] = found[at].reshape(steps, runs, -1)[:, run][:, column]  # type: ignore[index]
    return recording_of(image, steps, in_order(*parts, last=steps), Traces(wanted, *traces), {})


def _weights(image: ChipImage, circuit: Circuit, form: LavaForm, result: LavaResult, every: int) -> dict[str, Weights]:
    """The weights of Lava's learning processes, by projection."""
    found = np.concatenate([np.empty(0, np.int64), *form.learned])
    values = np.concatenate([np.empty((len(result.weights[0]) if result.weights else 0, 0)), *result.weights], axis=1)
    number = np.array([port.plastic for port in circuit.ports])[circuit.port[found]]
    order = np.lexsort((found, number))  # the circuit's synapses are ordered by source and target
    found, number = found[order], number[order]
    return weights_of(image, number, np.stack([circuit.sources[found], circuit.targets[found]]), values[:, order], every)
