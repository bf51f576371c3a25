"""Chip images in HDF5 files, which are never trusted: everything is checked before an image is made."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from spikesim.errors import FileFormatError, SpikesimError
from spikesim.hardware.loihi.circuit import FIELDS
from spikesim.hardware.loihi.image import ChipImage, Probed, ranges
from spikesim.hardware.loihi.limits import CHIPS
from spikesim.hardware.loihi.plastic import Plastic
from spikesim.plasticity import BOUNDS, LoihiSTDP
from spikesim.storage import load, save

KIND = "loihi_image"
DTYPES = {
    "starts": np.int64, "core_starts": np.int64, "lanes": np.int8, "axon_starts": np.int64, "axon_list": np.int64, "axon_base": np.int32,
    "list_starts": np.int64, "run_starts": np.int64, "run_delay": np.uint8, "run_port": np.uint16, "port_exponent": np.int64,
    "port_lane": np.int64, "port_population": np.int64, "port_plastic": np.int64,
    "targets": np.int32, "weights": np.int16, "route_starts": np.int64,
    "routes": np.int64, "neuron": np.int64, "position": np.int64, "bits": np.int64, "train_steps": np.int64, "train_neurons": np.int64,
    "train_sizes": np.int32, "rates": np.float64,
}  # fmt: skip


def save_image(image: ChipImage, path: str | Path) -> None:
    """Write all but the report."""
    data = {entry.name: getattr(image, entry.name) for entry in fields(image) if entry.name != "report"}
    data |= {"probes": [vars(probe) for probe in image.probes], "plastic": [vars(each) for each in image.plastic]}
    save(path, KIND, data)


def load_image(path: str | Path) -> ChipImage:
    """Read and check an image; raises `FileFormatError`."""
    data = load(path, KIND)
    try:
        probes, plastic = tuple(Probed(**each) for each in data["probes"]), tuple(Plastic(**each) for each in data["plastic"])
        names = {"names": tuple(data["names"]), "shapes": tuple(data["shapes"]), "inputs": tuple(data["inputs"])}
        image = ChipImage(**data | names | {"probes": probes, "plastic": plastic, "cells": dict(data["cells"])})
        for wrong, what in _faults(image):
            if wrong:
                raise ValueError(what)
    except (SpikesimError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FileFormatError(f"{path}: does not hold a sound chip image: {error}; map the network again") from error
    return image


def _faults(image: ChipImage) -> Any:
    """Yield (whether something is wrong, what it is), in an order in which each check may rely on those before."""
    for name, dtype in DTYPES.items():
        array = getattr(image, name)
        yield not isinstance(array, np.ndarray) or array.dtype != dtype, f"{name} is no array of {np.dtype(dtype)}"
    yield image.chip not in CHIPS, f"there is no chip {image.chip!r}"
    populations, compartments, cores = len(image.names), len(image.neuron), len(image.core_starts) - 1
    yield not all(isinstance(name, str) for name in image.names) or len(set(image.names)) < populations, "names are no distinct texts"
    yield not populations == len(image.shapes) == len(image.inputs) == len(image.starts) - 1, "populations differ in number"
    yield not all(isinstance(flag, bool) for flag in image.inputs), "inputs are not True or False"
    for name, last in (("starts", None), ("core_starts", compartments), ("axon_starts", len(image.axon_list)),
                       ("list_starts", len(image.run_delay)), ("run_starts", len(image.targets)),
                       ("route_starts", len(image.routes))):  # fmt: skip
        array = getattr(image, name)
        yield array.ndim != 1 or len(array) < 1 or array[0] != 0 or bool((np.diff(array) < 0).any()), f"{name} do not ascend from 0"
        yield last is not None and array[-1] != last, f"{name} do not end at {last}"
    yield set(image.cells) != set(FIELDS), "cells have other fields"
    for name, array in image.cells.items():
        sound = isinstance(array, np.ndarray) and array.dtype == np.int64 and array.shape == (compartments,)
        yield not sound or bool((np.abs(array) > 2**31).any()), f"cells.{name} is not one int64 number a compartment"
    is_input = np.repeat(image.inputs, np.diff(image.starts))
    yield not np.array_equal(np.sort(image.neuron), np.flatnonzero(~is_input)), "neuron does not name each neuron once"
    yield len(image.route_starts) != len(is_input) + 1, "routes are not those of all neurons"
    yield (
        image.position.shape != (cores, 3) or image.bits.shape != (cores,) or len(image.axon_starts) != cores + 1,
        "cores differ in number",
    )
    ports = len(image.port_exponent)
    yield not ports == len(image.port_lane) == len(image.port_population) == len(image.port_plastic), "ports differ in number"
    yield any(not isinstance(each.rule, LoihiSTDP) for each in image.plastic), "plastic has other rules than LoihiSTDP"
    yield any({each.source, each.target} - set(image.names) for each in image.plastic), "plastic names unknown populations"
    learning = [each.projection for each in image.plastic]
    yield not all(isinstance(name, str) for name in learning) or len(set(learning)) < len(learning), "plastic names are no distinct texts"
    yield image.lanes.ndim != 2 or image.lanes.shape[1] != compartments or len(image.lanes) < 1, "lanes have another shape"
    for name, low, high in (("axon_list", 0, len(image.list_starts) - 1), ("run_port", 0, ports), ("routes", 0, len(image.axon_list)),
                            ("port_exponent", -8, 8), ("port_lane", 0, len(image.lanes)), ("port_population", 0, populations),
                            ("port_plastic", -1, len(image.plastic)),
                            ("run_delay", 0, 63), ("lanes", 0, 9), ("train_neurons", 0, len(is_input)), ("weights", -256, 256),
                            ("train_steps", 1, 2**62)):  # fmt: skip
        array = getattr(image, name)
        yield bool(((array < low) | (array >= high)).any()), f"{name} lie outside {low} to {high - 1}"
    yield len(image.run_port) != len(image.run_delay) or len(image.weights) != len(image.targets), "runs or synapses differ in number"
    yield (
        len(image.axon_base) != len(image.axon_list) or not image.train_steps.shape == image.train_neurons.shape == image.train_sizes.shape,
        "axons or trains differ in number",
    )
    yield bool((image.train_sizes == 0).any()), "train_sizes are 0"
    yield bool((np.diff(image.train_steps) < 0).any()), "trains are not in order"
    yield image.rates.shape != (len(is_input),) or not bool(((image.rates >= 0) & (image.rates <= 1e3)).all()), "rates are not 0 to 1000 Hz"
    yield _reaches_beyond(image), "targets lie outside their core"
    yield from _learning_faults(image)


def _learning_faults(image: ChipImage) -> Any:
    """The same for synapses that learn, which have a list of their own, no delay, ends in their populations and weights in range."""
    runs = np.flatnonzero(image.port_plastic[image.run_port] >= 0)
    lists = np.searchsorted(image.list_starts, runs, side="right") - 1
    yield bool((np.bincount(image.axon_list, minlength=len(image.list_starts))[lists] > 1).any()), "lists that learn are shared"
    yield bool(image.run_delay[runs].any()), "run_delay of synapses that learn is not 0"
    yield len(np.unique(image.routes)) < len(image.routes), "routes name an axon twice"
    source = np.zeros(len(image.axon_list), np.int64)
    source[image.routes] = np.argsort(image.source_of_neuron)[
        np.repeat(np.arange(len(image.route_starts) - 1), np.diff(image.route_starts))
    ]
    base = image.core_starts[image.axon_core] + image.axon_base
    for at, each in enumerate(image.plastic):
        own = np.flatnonzero(image.port_plastic[image.run_port] == at)
        axon = np.argsort(image.axon_list)[np.searchsorted(np.sort(image.axon_list), lists[np.searchsorted(runs, own)])]
        counts = np.diff(image.run_starts)[own]
        picked = ranges(image.run_starts[own], counts)
        targets = image.neuron[np.repeat(base[axon], counts) + image.targets[picked]]
        for side, found, name in (("sources", source[axon], each.source), ("targets", targets, each.target)):
            start, stop = image.starts[image.names.index(name) :][:2]
            yield bool(((found < start) | (found >= stop)).any()), f"{side} of {each.projection} are not in {name}"
        low, high = BOUNDS[each.rule.sign]
        weights = image.weights[picked]
        yield bool(((weights < low) | (weights > high)).any()), f"weights of {each.projection} lie outside {low} to {high}"


def _reaches_beyond(image: ChipImage) -> bool:
    """Whether an axon's synapses end outside its core."""
    first = image.run_starts[image.list_starts]
    lists = len(first) - 1
    low, high = np.zeros(lists, np.int64), np.zeros(lists, np.int64)
    full = np.flatnonzero(np.diff(first))
    if len(full):
        low[full] = np.minimum.reduceat(image.targets, first[:-1][full])
        high[full] = np.maximum.reduceat(image.targets, first[:-1][full])
    size = np.diff(image.core_starts)[image.axon_core]
    return bool(((image.axon_base + low[image.axon_list] < 0) | (image.axon_base + high[image.axon_list] >= size))[
        np.isin(image.axon_list, full)].any())  # fmt: skip
