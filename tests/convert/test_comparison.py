"""The comparison of a converted network with its module: the error's parts, the score, the work, and what is written."""

import json
import math
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from spikesim.convert.calibrate import RATE, SIGNED, Calibration, calibrate
from spikesim.convert.comparison import compare
from spikesim.convert.converted import ConvertedNetwork
from spikesim.convert.energy import GIVEN, EnergyConstants, energy
from spikesim.convert.figures import error_bars, over_steps, work_bars
from spikesim.convert.graph import READ_OUT, Graph, Node, evaluate
from spikesim.convert.lower import lower
from spikesim.convert.operators import Full, Input, Pointwise, Reshape, Sum
from spikesim.convert.report import report_of
from spikesim.convert.score import checked_labels, relative_error, score
from spikesim.convert.split import decoded, error_split, stairs
from spikesim.convert.stepper import Stepper
from spikesim.convert.work import macs_of_readers
from spikesim.errors import DescriptionError, KindError

UGLY = "<b>&\"'$x$[red]"
IMAGES = np.random.default_rng(5).normal(size=(24, 6))
LABELS = np.arange(24) % 3
STEPS = 32


def small_graph():
    """A relay between a sum and a full matrix, a rectifier with and a neuron without a floor, and a softmax at the end."""
    random = np.random.default_rng(1)

    def full(outputs, inputs):
        return Full(random.normal(size=(outputs, inputs)) / math.sqrt(inputs))

    nodes = (
        Node("image", Input(), (), (6,)), Node("first", full(8, 6), ("image",), (8,), 0.1 * random.normal(size=8)),
        Node("rectified", Pointwise("relu"), ("first",), (8,)), Node("second", full(8, 8), ("rectified",), (8,)),
        Node("bent", Pointwise("tanh"), ("second",), (8,), where=UGLY),
        Node("both", Sum((1.0, 1.0)), ("rectified", "bent"), (8,), where=UGLY),
        Node("folded", Reshape(), ("both",), (2, 4)), Node("third", full(5, 8), ("folded",), (5,)),
        Node("last", Pointwise("relu"), ("third",), (5,)), Node("classes", full(3, 5), ("last",), (3,), 0.1 * random.normal(size=3)),
    )  # fmt: skip
    costs = {node.name: node.operator.weights.size for node in nodes if isinstance(node.operator, Full)}
    return Graph({node.name: replace(node, macs=costs.get(node.name, 0)) for node in nodes}, "classes", "softmax", (UGLY,))


def quanta_of(graph, coding, **settings):
    return calibrate(graph, IMAGES, Calibration(coding=coding, **settings))


def convert(coding, **settings):
    graph, chosen = small_graph(), Calibration(coding=coding, **settings)
    quanta = calibrate(graph, IMAGES, chosen)
    lowered = lower(graph, quanta, coding=coding)
    return ConvertedNetwork(report_of(graph, quanta, lowered, chosen), graph.input.shape, graph, quanta, lowered, coding)


@pytest.fixture(scope="module", params=[RATE, SIGNED])
def converted(request):
    return convert(request.param)


@pytest.fixture(scope="module")
def compared(converted):
    return compare(converted, IMAGES, LABELS, steps=STEPS, sample=20, progress=False)


# ---- the error's parts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("burst", [1, 4])
def test_nothing_is_clipped_by_thresholds_at_the_largest_value(burst):
    graph = small_graph()
    most = error_split(graph, quanta_of(graph, RATE, percentile=100.0, burst=burst), IMAGES, coding=RATE, steps=8)
    less = error_split(graph, quanta_of(graph, RATE, percentile=80.0, burst=burst), IMAGES, coding=RATE, steps=8)
    assert all(part.clipping < 1e-12 for part in most.values())
    assert all(part.clipping > 1e-3 for part in less.values())


def test_signed_coding_clips_nothing():
    """Its quanta do not depend on how far the counts reach."""
    graph = small_graph()
    found = error_split(graph, quanta_of(graph, SIGNED, percentile=80.0), IMAGES, coding=SIGNED, steps=8)
    assert all(part.clipping < 1e-12 for part in found.values())


def test_bursts_make_rates_more_exact():
    """A spike is worth a quarter, and what is sent too much is taken back: neither stairs nor the order of spikes err as much."""
    graph = small_graph()
    plain, bursts = (error_split(graph, quanta_of(graph, RATE, percentile=100.0, burst=burst), IMAGES, coding=RATE, steps=STEPS)
                     for burst in (1, 4))  # fmt: skip
    assert bursts[READ_OUT].total < 0.5 * plain[READ_OUT].total
    assert bursts["rectified"].quantisation == pytest.approx(plain["rectified"].quantisation / 4.0, rel=0.3)


def test_settled_signed_coding_has_no_unevenness_but_an_unsettled_one_has():
    graph = small_graph()
    quanta = quanta_of(graph, SIGNED)
    settled = error_split(graph, quanta, IMAGES, coding=SIGNED, steps=400)
    assert all(part.unevenness < 1e-12 < part.quantisation for part in settled.values())
    assert error_split(graph, quanta, IMAGES, coding=SIGNED, steps=3)[READ_OUT].unevenness > 0.01


def test_neurons_with_a_constant_input_are_never_uneven():
    """The first layer spikes evenly, so its count is the staircase exactly."""
    graph = small_graph()
    found = error_split(graph, quanta_of(graph, RATE), IMAGES, coding=RATE, steps=16)
    assert found["rectified"].unevenness < 1e-12 < 1e-4 < found["last"].unevenness


def test_quantisation_falls_with_the_steps_as_the_stairs_do():
    graph = small_graph()
    quanta = quanta_of(graph, RATE, percentile=100.0)
    few, many = (error_split(graph, quanta, IMAGES, coding=RATE, steps=steps)["rectified"] for steps in (4, 64))
    assert 8.0 < few.quantisation / many.quantisation < 32.0
    assert few.total == pytest.approx(few.quantisation)  # nothing else is wrong there


def test_the_stairs_of_a_single_rectifier_by_hand():
    graph = Graph({"x": Node("x", Input(), (), (4,)), "y": Node("y", Pointwise("relu"), ("x",), (4,))}, "y")
    quantum = replace(quanta_of(graph_of_four(), RATE)["y"], worth=np.ones(4))
    values = torch.tensor([[-0.5, 0.1, 0.4, 1.7]], dtype=torch.float64)
    even = stairs(graph, {"y": quantum}, values, coding=RATE, steps=4)["y"]
    assert even.tolist() == [[0.0, 0.0, 0.5, 1.0]]
    found = error_split(graph, {"y": quantum}, values.numpy(), coding=RATE, steps=4)["y"]
    size = math.sqrt(0.1**2 + 0.4**2 + 1.7**2)
    expected = (0.7 / size, math.sqrt(0.1**2 + 0.1**2) / size, 0.0, math.sqrt(0.7**2 + 0.1**2 + 0.1**2) / size)
    assert (found.clipping, found.quantisation, found.unevenness, found.total) == pytest.approx(expected, abs=1e-12)


def graph_of_four():
    nodes = (Node("x", Input(), (), (4,)), Node("w", Full(np.eye(4, 6)), ("x",), (4,)), Node("y", Pointwise("relu"), ("w",), (4,)))
    return Graph({"x": replace(nodes[0], shape=(6,)), "w": nodes[1], "y": nodes[2]}, "y")


@pytest.mark.parametrize("coding", [RATE, SIGNED])
def test_the_parts_bound_the_total(coding):
    graph = small_graph()
    for part in error_split(graph, quanta_of(graph, coding), IMAGES, coding=coding, steps=5).values():
        parts = (part.clipping, part.quantisation, part.unevenness)
        assert 2.0 * max(parts) - sum(parts) - 1e-12 <= part.total <= sum(parts) + 1e-12


def test_the_stairs_of_signed_coding_are_the_quantised_network():
    graph = small_graph()
    quanta = quanta_of(graph, SIGNED)

    def rounded(node, value):
        quantum, worth = quanta[node.name], torch.from_numpy(quanta[node.name].worth)
        return torch.floor(value / worth + 0.5).clamp(quantum.least, quantum.most) * worth

    expected = evaluate(graph, IMAGES, neuron=rounded)
    found = stairs(graph, quanta, torch.from_numpy(IMAGES), coding=SIGNED, steps=7)
    assert all(torch.equal(found[name], expected[name]) for name in graph.nodes)


def test_what_is_decoded_is_what_the_stepper_gives_out():
    graph = small_graph()
    stepper, images = Stepper(graph, quanta_of(graph, RATE), coding=RATE), torch.from_numpy(IMAGES)
    with torch.no_grad():
        values, output = decoded(stepper, images, 9), stepper(images, 9)[-1]
        nodes = graph.nodes
        again = evaluate(replace(graph, nodes=nodes), images, neuron=lambda node, value: values[node.name])["classes"]
    assert torch.equal(values[READ_OUT], output)
    assert torch.allclose(again, output, atol=1e-12)


# ---- the score -------------------------------------------------------------------------------------------------------

OUTPUTS = np.array([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])  # 4 steps
MODULE = np.array([[1.0, 0.0], [0.0, 1.0]])


def test_accuracy_and_agreement_and_the_first_step_from_which_it_stays():
    found = score(MODULE, OUTPUTS, np.array([0, 1]))
    assert (found.metric, found.ann, found.snn, found.within) == ("accuracy", 1.0, (0.5, 1.0, 0.5, 1.0), 4)
    assert found.agreement == (0.5, 1.0, 0.5, 1.0)
    assert score(MODULE, OUTPUTS[:3], np.array([0, 1])).within is None
    assert score(MODULE, OUTPUTS[:2], np.array([1, 0])).within == 1  # better than the module is not worse


def test_without_labels_the_module_is_the_target():
    found = score(MODULE, OUTPUTS, None)
    assert (found.metric, found.ann, found.within) == ("relative error", 0.0, 4)
    assert found.snn == tuple(relative_error(step, MODULE) for step in OUTPUTS)
    assert found.agreement == (0.5, 1.0, 0.5, 1.0)


def test_targets_give_the_error_relative_to_them():
    targets = checked_labels(np.array([[2.0, 0.0], [0.0, 2.0]]), 2, (2,))
    found = score(MODULE, OUTPUTS[1:2], targets)
    assert (found.ann, found.snn, found.agreement, found.within) == (0.5, (0.5,), None, 1)


@pytest.mark.parametrize(("labels", "message"), [
    (np.zeros(3), r"\(2,\), or targets \(2, 2\), got shape \(3,\)"), ([0, 2], "classes from 0 to 1, got 0 to 2"),
    ([-1, 0], "got -1 to 0"), ([[np.nan, 0.0], [0.0, 0.0]], "found nan"), ([0.5, 1.0], "whole"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises((DescriptionError, KindError), match=message):
        checked_labels(labels, 2, (2,))


def test_classes_of_each_row_of_an_output_are_labels():
    assert checked_labels(torch.zeros(1, 7, dtype=torch.int64), 1, (7, 3)).shape == (1, 7)
    assert checked_labels([1.5, 2.5], 2, (1,)).shape == (2, 1)


# ---- energy ----------------------------------------------------------------------------------------------------------


def test_energy_by_hand():
    found = energy(macs=1000, analog_macs=100, operations=2000, graded_operations=10)
    assert found.ann == pytest.approx(4.6)
    assert found.snn == pytest.approx(0.46 + 1.8 + 0.046)
    assert found.loihi == pytest.approx(0.46 + 47.436)
    assert found.analog == pytest.approx(0.46)


def test_constants_name_their_sources():
    constants = EnergyConstants(mac=3.1)
    assert constants.sources()["mac"] == GIVEN and "Horowitz" in constants.sources()["ac"] and "Davies" in constants.sources()["loihi"]
    assert energy(macs=10, analog_macs=0, operations=0, constants=constants).ann == pytest.approx(0.031)
    with pytest.raises(DescriptionError, match=r"EnergyConstants\.ac"):
        EnergyConstants(ac=-1.0)


# ---- the whole -------------------------------------------------------------------------------------------------------


def test_work_counts_every_operator_once_where_it_reads(converted):
    assert macs_of_readers(converted.graph) == {"image": 48, "rectified": 64, "both": 40, "last": 15}


def test_the_layers_are_those_of_the_network(converted, compared):
    result = converted.run(IMAGES, steps=STEPS, progress=False)
    rows = {layer.name: layer for layer in compared.layers}
    assert list(rows) == ["image", "rectified", "bent", "both", "last", READ_OUT]
    assert rows["both"].neuron == "relay" and rows["both"].error is None and rows["both"].work.relayed > 0.0
    for name in ("rectified", "bent", "last"):
        assert rows[name].work.spikes == result.spikes[name].mean()
        assert rows[name].work.operations == result.synaptic_operations[name].mean()
        assert rows[name].work.rate == pytest.approx(np.mean(result.spikes[name] / result.ended) / rows[name].neurons)
    operations = sum(found.mean() for found in result.synaptic_operations.values())
    assert compared.work.operations + compared.work.relayed_operations == pytest.approx(operations)
    assert compared.work.macs == 167
    assert compared.energy.analog == pytest.approx(1e-3 * 4.6 * 48)
    bursts = sum(rows[name].work.operations for name in rows if name in result.spikes and converted.quanta[name].burst > 1)
    assert (bursts > 0.0) == (converted.coding == RATE)  # of the neuron that is no rectifier
    graded = rows["both"].work.relayed_operations + bursts
    assert compared.energy.snn == pytest.approx(1e-3 * (4.6 * (48 + graded) + 0.9 * (compared.work.operations - bursts)))


def test_the_score_is_that_of_the_run(converted, compared):
    result = converted.run(IMAGES, steps=STEPS, progress=False)
    assert compared.score.snn == tuple(result.accuracy(LABELS))
    assert compared.score.agreement[-1] > 0.8
    module = torch.softmax(evaluate(converted.graph, IMAGES)["classes"], -1).numpy()
    assert compared.score.ann == np.mean(module.argmax(axis=1) == LABELS)


def test_the_engine_and_the_stepper_agree_on_the_output():
    """The read-out's error is measured on the stepper, the score on the engine; without a softmax both are the same."""
    bare = replace(convert(RATE), graph=replace(small_graph(), outside=None))
    found = bare.compare(IMAGES, steps=8, sample=24, progress=False)
    assert found.layers[-1].error.total == pytest.approx(found.score.snn[-1], rel=1e-3)


def test_bursts_are_graded():
    found = convert(SIGNED, burst=4).compare(IMAGES, steps=8, sample=4, progress=False)
    assert found.energy.snn == pytest.approx(1e-3 * 4.6 * (48 + found.work.operations + found.work.relayed_operations))


@pytest.mark.parametrize("given", [{"sample": 0}, {"steps": 0}, {"steps": 2.5}, {"sample": True}])
def test_numbers_that_are_not_counts_are_refused(converted, given):
    with pytest.raises((DescriptionError, KindError), match=f"compare: {next(iter(given))}"):
        compare(converted, IMAGES, **given)


# ---- what is written -------------------------------------------------------------------------------------------------


def test_json_holds_everything_and_survives(compared, tmp_path):
    compared.save(tmp_path / "found.json")
    data = json.loads((tmp_path / "found.json").read_text())
    assert data == compared.data()
    assert len(data["score"]["snn"]) == STEPS and data["report"]["analog"] == [UGLY]
    assert data["layers"][1]["error"]["total"] == compared.layers[1].error.total
    assert set(data["energy_nj"]["sources"]) == {"mac", "ac", "loihi"}


def test_json_has_no_numbers_that_json_does_not_know(compared, tmp_path):
    broken = replace(compared, seconds=math.inf, mean_steps=math.nan)
    broken.save(tmp_path / "found.json")
    assert json.loads((tmp_path / "found.json").read_text())["seconds"] is None


class Page(HTMLParser):
    """Collects the text and checks that every element is closed."""

    VOID = ("meta", "br")

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.ids, self.links, self.words = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.ids += [value for key, value in attrs if key == "id"]
        self.links += [value for key, value in attrs if key in ("href", "xlink:href", "src")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_sound_and_stands_alone(compared, tmp_path):
    compared.save(tmp_path / "found.html")
    text = (tmp_path / "found.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == [] and page.seen.count("svg") == 3 and page.seen.count("table") == 5
    assert not {"script", "link", "img", "iframe", "b"} & set(page.seen)
    assert "http" not in text and "url(" not in text.replace("url(#", "") and "@import" not in text
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    words = "".join(page.words)
    assert UGLY in words and "mathdefault" not in words
    assert all(layer.name in words for layer in compared.layers)


def test_names_from_outside_are_escaped_in_the_pictures(compared, tmp_path):
    layers = tuple(replace(layer, name=f"<script>{layer.name}$_$") for layer in compared.layers)
    replace(compared, layers=layers).save(tmp_path / "found.html")
    page = Page()
    page.feed((tmp_path / "found.html").read_text(encoding="utf-8"))
    assert "script" not in page.seen and "<script>bent$_$" in page.words


def test_other_suffixes_are_refused(compared, tmp_path):
    with pytest.raises(DescriptionError, match=r"\.json or \.html, got 'found.txt'"):
        compared.save(tmp_path / "found.txt")


@pytest.mark.parametrize("columns", [60, 80, 120, 180])
def test_the_table_is_as_wide_as_the_terminal(compared, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = str(compared).splitlines()
    assert max(len(line) for line in lines) <= columns
    assert any("rectified"[:8] in line for line in lines)
    assert any(UGLY in line for line in lines)  # brackets are not markup
    assert ("neuron " in "".join(lines[4:9])) == (columns >= 110)


def test_pictures_show_every_layer(compared):
    assert len(error_bars(compared).axes[0].get_yticks()) == 4
    assert len(work_bars(compared).axes[0].patches) == 3 * 5
    assert len(over_steps(compared).axes[0].lines[0].get_xdata()) == STEPS
