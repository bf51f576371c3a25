"""Bad input: impossible neurons, images, inputs, networks and files; each error names the object and says what was expected."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest

import spikesim as sim
from spikesim import errors
from spikesim.errors import DescriptionError, FileFormatError, KindError, NameUnknownError, SpikesimError, UnsupportedError
from spikesim.hardware import map_to
from spikesim.hardware.truenorth import ChipImage, Emulator, Inputs, Rules, TrueNorth, corelets
from spikesim.hardware.truenorth.equivalent import equivalent_network
from tests.hardware.truenorth_networks import random_image


class Row(NamedTuple):
    """``wrong()`` must raise ``error`` with a message that matches ``says``."""

    name: str
    wrong: Callable[[], Any]
    error: type[SpikesimError]
    says: str


def image(**changes: Any) -> ChipImage:
    """Three random cores with single values changed: name=(place, value)."""
    good = random_image(np.random.default_rng(0))
    arrays = {name: value.copy() for name, value in good.arrays.items()}
    others = {"inputs": good.inputs, "outputs": good.outputs, "chips": good.chips, "rules": good.rules}
    for name, change in changes.items():
        if name in arrays:
            arrays[name][change[0]] = change[1]
        else:
            others[name] = change
    return ChipImage(arrays, **others)


def reshaped(**changes: Any) -> ChipImage:
    good = random_image(np.random.default_rng(0))
    arrays = {name: value for name, value in (dict(good.arrays) | changes).items() if value is not None}
    return ChipImage(arrays, good.inputs, good.outputs, good.chips)


def line(*target: int) -> dict[str, Inputs]:
    return {"in": Inputs(20, np.array([target], np.int64))}


def network(model: Any = None, weight: float = 1.0, delay: float = 1.0, *, size: int = 4, record: Any = "spikes", rule: Any = None,
            initial: Any = None, source: Any = None) -> sim.Network:  # fmt: skip
    net = sim.Network()
    inputs = net.population("in", size, source or sim.Poisson(rate=10.0))
    first = net.population("first", size, TrueNorth())
    last = net.population("last", size, model or TrueNorth(), initial=initial)
    net.project(inputs, first, sim.OneToOne(), weight=1.0, delay=0.0)
    receptor = next(iter(last.model.receptors))
    net.project(first, last, rule or sim.OneToOne(), weight=weight, delay=delay, receptor=receptor)
    if record:
        net.record(last, record)
    return net


def mapped(*args: Any, **kwargs: Any) -> ChipImage:
    return map_to(network(*args, **kwargs), "truenorth")


def driven(stimulus: Any, model: Any = None) -> ChipImage:
    net = network(model or sim.IF(v_threshold=5.0))
    net.stimulate(net.populations["last"], stimulus)
    return map_to(net, "truenorth")


def wide(inputs: int) -> ChipImage:
    net = sim.Network()
    source = net.population("in", inputs, sim.Poisson(rate=10.0))
    out = net.population("out", 1, TrueNorth())
    net.project(source, out, sim.AllToAll(), weight=1.0, delay=0.0)
    net.record(out)
    return map_to(net, "truenorth")


def run(inputs: Any = None, **options: Any) -> Any:
    return image().run(inputs, **({"steps": 5} | options))


ROWS = [
    Row("leak of 10 bits", lambda: TrueNorth(leak=256), DescriptionError, r"TrueNorth\.leak: expected at most 255, got 256"),
    Row("leak below", lambda: TrueNorth(leak=[0, -256]), DescriptionError, r"TrueNorth\.leak: expected at least -255, got -256 at index 1"),
    Row("half a leak", lambda: TrueNorth(leak=0.5), DescriptionError, r"TrueNorth\.leak: expected whole numbers, got 0\.5"),
    Row("threshold of 19 bits", lambda: TrueNorth(v_threshold=2**18), DescriptionError, "v_threshold: expected at most 262143"),
    Row("negative threshold", lambda: TrueNorth(v_threshold=-1), DescriptionError, "v_threshold: expected at least 0"),
    Row("floor of 19 bits", lambda: TrueNorth(v_floor=2**18), DescriptionError, "v_floor: expected at most 262143"),
    Row("reset not 2**k - 1", lambda: TrueNorth(v_reset=5), DescriptionError, r"got 5; the nearest is 3|the nearest is 7"),
    Row("reset of 21 bits", lambda: TrueNorth(v_reset=2**20 - 1), DescriptionError, "v_reset: expected at most 524287"),
    Row("mask of 9 bits", lambda: TrueNorth(mask=256), DescriptionError, r"TrueNorth\.mask: expected 8 bits"),
    Row("reset mode", lambda: TrueNorth(reset="soft"), DescriptionError, "reset: expected 'value' or 'subtract' or 'none', got 'soft'"),
    Row("unknown parameter", lambda: TrueNorth(threshold=1), NameUnknownError, "did you mean 'v_threshold'"),
    Row("random threshold", lambda: TrueNorth(v_threshold=sim.Uniform(1.0, 5.0)), KindError, "draw and round them first"),
    Row("unknown rule", lambda: Rules(order="random"), DescriptionError, r"Rules\.order: expected 'synapses_first' or 'leak_first'"),
    Row("rules of 17 bits", lambda: Rules(mask_bits=17), DescriptionError, r"mask_bits: expected a whole number from 1 to 16, got 17"),
    Row("no rules", lambda: TrueNorth(rules="lava"), KindError, r"TrueNorth\.rules: expected Rules"),
    Row("potential of 21 bits", lambda: network(initial={"v": 2**19}), DescriptionError, "initial v: expected 20 bits"),
    Row("half a potential", lambda: network(initial={"v": 0.5}), DescriptionError, r"initial v: expected whole numbers, got 0\.5"),
    Row("half a weight", lambda: network(weight=0.5), DescriptionError, "weight into TrueNorth neurons: expected whole numbers, got 0.5"),
    Row("random weights", lambda: network(weight=sim.Uniform(0.0, 9.0)), KindError, "weight into TrueNorth neurons: expected whole"),
    Row("stimulus", lambda: driven(sim.DirectCurrent(1.0), TrueNorth()), UnsupportedError, "TrueNorth neurons take no DirectCurrent"),
    Row("stochastic on an engine", lambda: sim.Simulation(network(TrueNorth(leak=3, stochastic_leak=True)), dt=1.0), UnsupportedError,
        "no stochastic leak or threshold, the chip's emulator has"),
    Row("weight of 10 bits", lambda: image(weights=((1, 2, 3), 256)), DescriptionError, "weights: expected -255 to 255, got 256 at"),
    Row("image leak", lambda: image(leak=((0, 0), -256)), DescriptionError, r"leak: expected -255 to 255, got -256 at core 0, neuron 0"),
    Row("image threshold", lambda: image(threshold=((2, 9), -1)), DescriptionError, "threshold: expected 0 to 262143, got -1 at core"),
    Row("axon type 4", lambda: image(axon_types=((1, 0), 4)), DescriptionError, "axon_types: expected 0 to 3, got 4"),
    Row("reset mode 3", lambda: image(modes=((1, 7), 24)), DescriptionError, "reset mode must be 0, 1 or 2, got 3 at core 1, neuron 7"),
    Row("image mask", lambda: image(mask=((1, 7), 256)), DescriptionError, r"mask: expected 8 bits, got 256"),
    Row("image reset", lambda: image(reset=((1, 7), 6)), DescriptionError, r"reset: expected plus or minus 2\*\*k - 1, got 6"),
    Row("delay of 16", lambda: image(destinations=((0, 5), (0, 0, 0, 16))), DescriptionError, "a delay of 1 to 15 ticks.*got 16 at core"),
    Row("axon 256", lambda: image(destinations=((0, 5), (0, 0, 256, 1))), DescriptionError, "an axon of 0 to 255, got 256"),
    Row("too far", lambda: image(destinations=((0, 5), (256, 0, 0, 1))), DescriptionError, "a destination within 255 cores, got 256"),
    Row("nothing there", lambda: image(destinations=((0, 5), (0, 20, 0, 1))), DescriptionError, "neuron 5 of .* where no core is in"),
    Row("off the chips", lambda: image(positions=(0, (128, 0))), DescriptionError, r"core 0 at \(128, 0\) lies outside the 128 x 64 cores"),
    Row("two at one place", lambda: image(positions=(slice(0, 2), (7, 7))), DescriptionError, r"two cores lie at \(7, 7\)"),
    Row("no chips", lambda: image(chips=(0, 1)), DescriptionError, "two numbers from 1 to 16"),
    Row("missing array", lambda: reshaped(leak=None), KindError, "the array 'leak' is missing"),
    Row("surplus array", lambda: reshaped(colour=np.zeros(3)), KindError, "there is no array 'colour'"),
    Row("wrong dtype", lambda: reshaped(leak=np.zeros((3, 256))), DescriptionError, r"leak: expected int16 \(3, 256\), got float64"),
    Row("wrong shape", lambda: reshaped(crossbar=np.zeros((3, 256, 3), np.uint64)), DescriptionError, r"expected uint64 \(3, 256, 4\)"),
    Row("input to no core", lambda: image(inputs=line(0, 3, 0, 0)), DescriptionError, r"inputs\['in'\]: .*got \[0, 3, 0, 0\] in row 0"),
    Row("input to no axon", lambda: image(inputs=line(0, 0, 256, 0)), DescriptionError, r"inputs\['in'\]"),
    Row("output of no neuron", lambda: image(outputs={"o": np.array([[0, 0, 256]])}), DescriptionError, r"outputs\['o'\]"),
    Row("booked twice", lambda: equivalent_network(image()), DescriptionError, r"axon \d+ of core \d is booked by \d+ sources"),
    Row("input unknown", lambda: run({"on": np.zeros((5, 20), int)}), NameUnknownError, "unknown input 'on'"),
    Row("input of another size", lambda: run({"in": np.zeros((5, 19), int)}), DescriptionError, r"of shape \(5, 20\), got int64 \(5, 19\)"),
    Row("two spikes a tick", lambda: run({"in": np.full((5, 20), 2)}), DescriptionError, "at most one spike a tick, got 2"),
    Row("a spike between ticks", lambda: run({"in": sim.SpikeTrains([1.5], [0])}), DescriptionError, r"whole ms, a tick each, got 1\.5"),
    Row("a spike with a size", lambda: run({"in": sim.SpikeTrains([1.0], [0], [2])}), UnsupportedError, "a spike of TrueNorth has none"),
    Row("trains with sizes", lambda: mapped(source=sim.SpikeTrains([1.0], [0], [2])), UnsupportedError, "'in': its SpikeTrains have sizes"),
    Row("steps", lambda: run(steps=-1), DescriptionError, "steps must be a whole number from 0 on, got -1"),
    Row("threads", lambda: run(threads=0), DescriptionError, "threads must be a whole number from 1 on, got 0"),
    Row("seed", lambda: run(seed=-1), DescriptionError, "seed must be a whole number"),
    Row("no image", lambda: Emulator("image.h5"), KindError, "expected a ChipImage"),
    Row("delay of 0", lambda: mapped(delay=0.0), UnsupportedError, "'first->last': the chip has delays of 1 to 15 ticks, got 0"),
    Row("mapped delay of 16", lambda: mapped(delay=16.0), UnsupportedError, "got 16; corelets.delay_line makes longer ones"),
    Row("half a delay", lambda: mapped(delay=1.5), UnsupportedError, r"delay: TrueNorth has whole numbers only, got 1\.5"),
    Row("exponential leak", lambda: mapped(sim.LIF()), UnsupportedError, r"'last': .* no LIF; .*the nearest form is TrueNorth\(leak=-1"),
    Row("conductances", lambda: mapped(sim.LIF(receptors={"e": sim.ExponentialConductance()})), UnsupportedError,
        "conductances multiply the potential"),
    Row("refractory time", lambda: mapped(sim.IF(t_ref=2.0)), UnsupportedError, "no refractory time; set t_ref=0"),
    Row("half a threshold", lambda: mapped(sim.IF(v_threshold=2.5)), UnsupportedError, r"v_threshold: expected a whole .*nearest is 2"),
    Row("no threshold", lambda: mapped(sim.IF(v_threshold=np.inf)), UnsupportedError, "v_threshold: .* got inf; the nearest is 262143"),
    Row("mapped reset", lambda: mapped(sim.IF(v_threshold=9.0, v_reset=4.0, reset="value")), UnsupportedError, "got 4; the nearest is 3"),
    Row("weight into IF", lambda: mapped(sim.IF(), weight=0.25), UnsupportedError, r"TrueNorth has whole numbers only, got 0\.25"),
    Row("current receptor", lambda: mapped(sim.IF(receptors={"e": sim.ExponentialCurrent()})), UnsupportedError, "without time course"),
    Row("noise", lambda: driven(sim.NoiseCurrent(1.0, 1.0)), UnsupportedError, "the chip has no NoiseCurrent"),
    Row("large current", lambda: driven(sim.DirectCurrent(300.0)), UnsupportedError, "its leak: .* got 300; the nearest is 255"),
    Row("drawn rule", lambda: mapped(rule=sim.FixedProbability(0.5)), UnsupportedError, "FixedProbability draws its pairs"),
    Row("probe of v", lambda: mapped(record="v"), UnsupportedError, "v cannot leave the chip"),
    Row("nothing recorded", lambda: mapped(record=None), DescriptionError, "no neuron is recorded"),
    Row("fan-in of 257", lambda: wide(257), UnsupportedError, "population 'out': neuron 0 has 257 inputs and needs 257 axons"),
    Row("stochastic copies", lambda: stochastic_fan_out(), UnsupportedError, "is stochastic and has 2 destinations"),
    Row("fast source", lambda: mapped(source=sim.Poisson(rate=1001.0)), UnsupportedError, "1001 Hz is more than one spike in each tick"),
    Row("unknown chip", lambda: map_to(network(), "truesouth"), NameUnknownError, "unknown chip 'truesouth'; did you mean 'truenorth'"),
    Row("unknown fan-out", lambda: map_to(network(), "truenorth", fan_out="tree"), DescriptionError, "'copies' or 'splitters', got 'tree'"),
    Row("no neurons", lambda: map_to(sim.Network(), "truenorth"), DescriptionError, "no population of neurons"),
    Row("no network", lambda: map_to(3, "truenorth"), KindError, "expected a Network, got 3"),
    Row("oscillator", lambda: corelets.oscillator(sim.Network(), "o", 0), DescriptionError, "corelet 'o': expected periods from 1 on"),
]  # fmt: skip


def stochastic_fan_out() -> ChipImage:
    net = network(TrueNorth(mask=7))
    net.project(net.populations["last"], net.populations["first"], sim.OneToOne(), weight=1.0, delay=1.0)
    return map_to(net, "truenorth")


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_bad_input(row):
    with pytest.raises(row.error) as caught:
        row.wrong()
    assert re.search(row.says, str(caught.value)), str(caught.value)
    assert type(caught.value) in vars(errors).values()


def saved(path, change: Callable[[Any], Any]) -> None:
    """A good file, then damaged by ``change``."""
    image().save(path)
    with h5py.File(path, "r+") as file:
        change(file["image"])


def replace(group: Any, name: str, value: Any) -> None:
    kind = group[name].attrs["type"]
    del group[name]
    group[name] = value
    group[name].attrs["type"] = kind


def link(group: Any) -> None:
    del group["leak"]
    group["leak"] = h5py.ExternalLink("/etc/passwd", "/x")


DAMAGES = {
    "huge": (lambda g: g.attrs.modify("cores", 10**9), r"cores from 0 to"),
    "more cores than rows": (lambda g: g.attrs.modify("cores", 4), r"shape \(4, "),
    "negative": (lambda g: g.attrs.modify("cores", -1), "cores from 0"),
    "missing": (lambda g: g["arrays"].__delitem__("leak"), "expected the arrays"),
    "surplus": (lambda g: g["arrays"].create_dataset("more", data=3), "expected the arrays"),
    "wrong dtype": (lambda g: replace(g["arrays"], "leak", np.zeros((3, 256), np.int64)), "expected int16, found int64"),
    "out of range": (lambda g: replace(g["arrays"], "leak", np.full((3, 256), 999, np.int16)), "expected a valid image.*-255 to 255"),
    "unknown rule": (lambda g: g.attrs.modify("order", np.bytes_(b"none")), "expected a valid image.*order"),
    "table": (lambda g: replace(g["outputs"], "out", np.zeros((3, 2), np.int64)), r"int64 \(n, 3\)"),
    "link": (lambda g: link(g["arrays"]), "ExternalLink"),
    "inputs": (lambda g: replace(g["inputs"]["in"], "targets", np.full((3, 4), 99, np.int64)), "expected a valid image"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(DAMAGES))
def test_damaged_files(name, tmp_path):
    change, says = DAMAGES[name]
    saved(tmp_path / "image.h5", change)
    with pytest.raises(FileFormatError, match=says):
        ChipImage.load(tmp_path / "image.h5")


def test_every_cut_of_a_file_is_refused(tmp_path):
    image().save(tmp_path / "good.h5")
    whole = (tmp_path / "good.h5").read_bytes()
    for share in np.linspace(0.0, 0.999, 25):
        (tmp_path / "cut.h5").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(FileFormatError):
            ChipImage.load(tmp_path / "cut.h5")


def test_a_file_holds_the_image(tmp_path):
    good = image(rules=Rules(order="leak_first", mask_bits=11))
    good.save(tmp_path / "image.h5")
    read = ChipImage.load(tmp_path / "image.h5")
    assert all(np.array_equal(good.arrays[name], read.arrays[name]) for name in good.arrays)
    assert read.rules == good.rules and read.chips == good.chips
    assert np.array_equal(read.inputs["in"].targets, good.inputs["in"].targets) and np.array_equal(read.outputs["out"], good.outputs["out"])
    spikes = (np.random.default_rng(0).random((30, 20)) < 0.3).astype(int)
    a, b = (each.run({"in": spikes}, steps=30).spikes["out"] for each in (good, read))
    assert np.array_equal(a.ids, b.ids) and np.array_equal(a.times, b.times) and len(a) > 10
