"""An image run by Lava: its tables unrolled again into a circuit, and that into processes."""

from typing import Any

import numpy as np

from spikesim.hardware.loihi.circuit import Circuit, Port
from spikesim.hardware.loihi.image import ChipImage, ranges
from spikesim.hardware.loihi.lava import run_lava
from spikesim.hardware.loihi.lava_form import LavaForm, lava_form
from spikesim.hardware.loihi.lava_network import LavaResult
from spikesim.hardware.loihi.run import weights_of
from spikesim.recording import Weights


def circuit_of_image(image: ChipImage, bias: np.ndarray | None = None) -> Circuit:
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
    if bias is not None:
        cells["bias"][image.neuron] = bias
    ports = tuple(Port(int(image.port_population[k]), f"lane {lane}" if lane else str(k), int(image.port_exponent[k]),
                       int(image.port_plastic[k])) for k, lane in enumerate(image.port_lane))  # fmt: skip
    return Circuit(image.names, image.shapes, image.starts, image.inputs, cells, ports,
                   np.searchsorted(sources[order], np.arange(image.neurons + 1)), targets[order].astype(np.int32),
                   image.weights[picked][order], image.run_delay[run][order], image.run_port[run][order],
                   np.empty(0, np.int64), np.empty(0, np.int64), image.rates, image.plastic)  # fmt: skip


def run_in_lava(image: ChipImage, steps: int, sent: tuple[np.ndarray, np.ndarray], bias: np.ndarray | None, wanted: np.ndarray, *,
                seed: int, weights_every: int, options: dict[str, Any]) -> tuple[Any, ...]:  # fmt: skip
    """Steps and neurons of all spikes, the neurons ``wanted``, their u and v, int64 (steps, wanted), and the weights that learned."""
    circuit = circuit_of_image(image, bias)
    form = lava_form(circuit, steps, spikes=sent, seed=seed)
    (result,) = run_lava([form.network], steps, traces=len(wanted) > 0, weights_every=weights_every, **options)
    when, who = [sent[0]], [sent[1]]
    for at, spikes in enumerate(result.spikes):
        members = np.flatnonzero(form.process == at)
        fired, number = np.nonzero(spikes)
        when.append(fired + 1)
        who.append(members[number])
    traces = [np.stack([array[form.process[i]][:, form.number[i]] for i in wanted], axis=1) if array is not None
              else np.zeros((steps, 0), np.int64) for array in (result.u, result.v)]  # fmt: skip
    weights = _weights(image, circuit, form, result, weights_every) if image.plastic else {}
    return np.concatenate(when), np.concatenate(who), wanted, *traces, weights


def _weights(image: ChipImage, circuit: Circuit, form: LavaForm, result: LavaResult, every: int) -> dict[str, Weights]:
    """The weights of Lava's learning processes, by projection."""
    found = np.concatenate([np.empty(0, np.int64), *form.learned])
    values = np.concatenate([np.empty((len(result.weights[0]) if result.weights else 0, 0)), *result.weights], axis=1)
    number = np.array([port.plastic for port in circuit.ports])[circuit.port[found]]
    order = np.lexsort((found, number))  # the circuit's synapses are ordered by source and target
    found, number = found[order], number[order]
    return weights_of(image, number, np.stack([circuit.sources[found], circuit.targets[found]]), values[:, order], every)
