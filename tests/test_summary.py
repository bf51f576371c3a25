"""A network in words: the numbers it prints are those of the network and, for the memory, near those of the compiled one."""

import re

import numpy as np
import pytest

import spikesim as sim
from spikesim.compiler import compile_network
from spikesim.summary import expected_synapses, memory_needed, stored_weights

RULES = {  # name: (rule, sources, targets, synapses)
    "one to one": (sim.OneToOne(), 12, 12, 12),
    "all to all": (sim.AllToAll(), 12, 7, 84),
    "all to all of a population": (sim.AllToAll(autapses=False), 9, None, 72),
    "indegree": (sim.FixedIndegree(5), 12, 7, 35),
    "outdegree": (sim.FixedOutdegree(5), 12, 7, 60),
    "total": (sim.FixedTotalNumber(1234), 12, 7, 1234),
    "pairs": (sim.PairList([0, 1, 1], [6, 6, 2]), 12, 7, 3),
    "matrix": (sim.Matrix(np.eye(8)[:, :3]), 8, 3, 3),
    "none": (sim.FixedIndegree(0), 12, 7, 0),
}


def connected(rule, sources, targets, **options):
    net = sim.Network()
    source = net.population("source", sources, sim.LIF())
    target = source if targets is None else net.population("target", targets, sim.LIF())
    net.project(source, target, rule, **({"weight": 1.0, "delay": 1.0, "receptor": "exc"} | options))
    return net


def line_of(net, start):
    (found,) = [line for line in str(net).splitlines() if line.startswith(f"    {start} ")]
    return found


@pytest.mark.parametrize("name", RULES)
def test_synapses_are_exact_where_the_rule_fixes_them(name):
    """The number printed is the number compiled."""
    rule, sources, targets, count = RULES[name]
    net = connected(rule, sources, targets)
    (projection,) = net.projections
    assert expected_synapses(net) == stored_weights(net) == {projection: count}
    assert compile_network(net, dt=0.5).synapses == count
    assert line_of(net, projection).split()[1] == f"{count:,}"
    assert f" {count:,} synapses in 1 projections" in str(net)


def test_random_synapses_are_expected():
    """With probabilities it is the expectation, which the compiled number approaches."""
    net = connected(sim.FixedProbability(0.1, autapses=False), 500, None)
    assert expected_synapses(net) == {"source->source": pytest.approx(24_950)}
    assert abs(compile_network(net, dt=0.5).synapses - 24_950) < 5 * np.sqrt(24_950)


def test_shared_weights_are_counted_once_in_memory():
    """A convolution has a synapse for each target and kernel entry, but stores its kernel."""
    net = sim.Network()
    image, features = net.population("image", (2, 8, 8), sim.IF()), net.population("features", (3, 6, 6), sim.IF())
    net.project(image, features, sim.Conv(np.ones((3, 2, 3, 3))), delay=0.0)
    assert expected_synapses(net) == {"image->features": 3 * 6 * 6 * 18}
    assert stored_weights(net) == {"image->features": 54}
    assert compile_network(net, dt=1.0).synapses == 54


def everything():
    net = sim.Network()
    noise = net.population("noise", 1500, sim.Poisson(rate=8.0))
    sheet = net.population("sheet", (4, 25, 30), sim.LIF(tau_m=15.0))
    net.project(noise, sheet, sim.FixedIndegree(10), weight=sim.Uniform(1.0, 2.0), delay=1.5, receptor="exc")
    net.project(sheet, sheet, sim.FixedTotalNumber(4000), weight=np.linspace(-2.0, -1.0, 4000), delay=2.0, receptor="inh")
    net.stimulate(sheet[:5], sim.DirectCurrent(3.0))
    net.record(sheet)
    net.record(sheet[10:20], "v", every=0.5)
    return net


def test_what_is_printed():
    """Sizes, shapes, models, synapses, receptors, rules, weights, delays, stimuli, probes and memory."""
    text = str(everything())
    head = text.splitlines()[0]
    assert head.startswith("Network: 4,500 neurons in 2 populations, 34,000 synapses in 2 projections, about ")
    assert re.search(r"about [\d.]+ (k|M)B$", head)
    net = everything()
    assert line_of(net, "noise").split(maxsplit=2)[1:] == ["1500", "Poisson(rate=8.0)"]
    assert line_of(net, "sheet").split(maxsplit=2)[1:] == ["4x25x30", "LIF(tau_m=15.0)"]
    first = line_of(net, "noise->sheet")
    assert [word in first for word in ("30,000", "exc", "FixedIndegree(k=10)", "Uniform(", "delay=1.5")] == [True] * 5
    assert "weight=<array of 4000>" in line_of(net, "sheet->sheet")
    assert "DirectCurrent(amplitude=3.0)" in line_of(net, "sheet[0:5]")
    assert line_of(net, "sheet[0:3000]").split()[1] == "spikes"
    assert line_of(net, "sheet[10:20]").split()[1:] == ["v", "every", "0.5", "ms"]


def test_an_empty_network_can_be_printed():
    """Nothing is described as nothing."""
    assert str(sim.Network()).startswith("Network: 0 neurons in 0 populations, 0 synapses in 0 projections")


@pytest.mark.parametrize(("delay", "rounded"), [(1.5, False), (sim.Uniform(1.0, 2.0), True), (sim.ClippedNormal(1.5, 0.5, low=0.1), True)])
def test_rounding_of_delays_is_said(delay, rounded):
    """Only drawn delays are rounded to the time step, and then a line says so."""
    text = str(connected(sim.FixedIndegree(2), 10, 10, delay=delay))
    assert ("Delays drawn from distributions are rounded to the time step." in text) == rounded


SIZES = {  # name: (rule, weight, delay) of 2,000 neurons
    "drawn": (sim.FixedProbability(0.1), sim.Uniform(5.0, 10.0), sim.Uniform(1.0, 2.0)),
    "wide weights": (sim.FixedIndegree(200), sim.Uniform(-5.0, 10.0), 1.0),
    "one weight": (sim.FixedIndegree(200), 5.0, 1.5),
    "many delays": (sim.FixedIndegree(20), sim.Uniform(5.0, 10.0), sim.Uniform(1.0, 20.0)),
    "matrix": (sim.Matrix(np.random.default_rng(0).normal(size=(2000, 2000)) * (np.arange(2000) % 10 == 0)), None, 1.0),
    "dense": (sim.Dense(np.random.default_rng(0).normal(size=(2000, 2000))), None, 1.0),
}


@pytest.mark.parametrize("name", SIZES)
def test_memory_estimate_is_near_the_compiled_tables(name):
    """The estimate and what tables and the spikes under way take are within a factor of two of each other."""
    rule, weight, delay = SIZES[name]
    net = connected(rule, 2000, None, weight=weight, delay=delay)
    program = compile_network(net, dt=0.1)
    held = sum(table.nbytes for table in program.tables) + sum(block.weights.nbytes for block in program.dense)
    held += 4 * (program.longest_delay + 1) * program.neurons
    estimate = sum(memory_needed(net, 0.1).values())
    assert held / 2 <= estimate <= 2 * held, f"estimate {estimate:,.0f}, held {held:,}, ratio {estimate / held:.2f}"
