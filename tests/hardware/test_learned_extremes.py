"""Weights that learn, at their largest: what they bring is not cut by the 32-bit update, and is sent as it is."""

import numpy as np
import pytest

import spikesim as sim
from spikesim.hardware import map_to
from spikesim.hardware.loihi.emulator import Emulator

ENDLESS = np.inf


@pytest.mark.parametrize(("exponent", "sign", "minus", "ends"), [
    (7, "mixed", -8.0, -256), (7, "mixed", 7.0, 255), (0, "inhibitory", -8.0, -255), (3, "excitatory", 7.0, 255),
])  # fmt: skip
def test_largest_weights(exponent, sign, minus, ends):
    net = sim.Network()
    source = net.population("source", 1, sim.SpikeTrains(times=[6.0, 9.0], ids=[0, 0]))
    teacher = net.population("teacher", 3, sim.SpikeTrains(times=[3.0], ids=[1]))
    receptors = {"teacher": sim.ShiftedSum(exponent=3), "learning": sim.ShiftedSum(exponent=exponent)}
    cells = net.population("cells", 3, sim.LoihiLIF(du=4095.0, dv=4095.0, vth=1000.0, receptors=receptors))
    net.project(teacher, cells, sim.OneToOne(), weight=255.0, delay=1.0, receptor="teacher")
    rule = sim.LoihiSTDP(0.0, minus, ENDLESS, ENDLESS, y_impulse=127.0, sign=sign)
    net.project(source, cells, sim.AllToAll(), weight=0.0, delay=1.0, receptor="learning", plasticity=rule, name="learning")
    net.record(cells, "u")
    recording = map_to(net, "loihi1", compare=False).run(12)
    assert recording.weights["learning"].values.tolist() == [[0, ends, 0]]
    u = recording.trace("cells", "u").values
    assert u[6].tolist() == [0, 0, 0] and u[9].tolist() == [0, (64 * (ends << exponent) + 2**23) % 2**24 - 2**23, 0]


def fed(start, times, sources=1100):
    """u, v of a neuron with so many inputs, whose weights learn from ``start`` on to 255, at the spikes at ``times``."""
    net = sim.Network()
    ids = np.tile(np.arange(sources), len(times))
    source = net.population("source", sources, sim.SpikeTrains(times=np.repeat(times, sources), ids=ids))
    teacher = net.population("teacher", 1, sim.SpikeTrains(times=[3.0], ids=[0]))
    receptors = {"teacher": sim.ShiftedSum(exponent=3), "learning": sim.ShiftedSum(exponent=7)}
    cells = net.population("cells", 1, sim.LoihiLIF(du=4095.0, dv=4095.0, vth=1000.0, receptors=receptors))
    net.project(teacher, cells, sim.OneToOne(), weight=255.0, delay=1.0, receptor="teacher")
    rule = sim.LoihiSTDP(0.0, 7.0, ENDLESS, ENDLESS, y_impulse=127.0)
    net.project(source, cells, sim.AllToAll(), weight=start, delay=1.0, receptor="learning", plasticity=rule, name="learning")
    net.record(cells)
    for variable in "uv":
        net.record(cells, variable)
    image = map_to(net, "loihi2", compare=False)
    return image, image.run(12)


def test_learned_input_beyond_32_bits():
    """Weights learned from 0 to 255 bring what weights do that are 255 from the start."""
    (image, learned), (other, given) = fed(0.0, [6.0, 9.0]), fed(255.0, [9.0])
    assert (learned.weights["learning"].values == 255).all()
    assert not Emulator(other).how.plain
    np.testing.assert_array_equal(learned.spikes["cells"].times, given.spikes["cells"].times)
    np.testing.assert_array_equal(learned.trace("cells", "u").values, given.trace("cells", "u").values)
    assert not Emulator(image).how.plain


def test_negative_spikes():
    net = sim.Network()
    teacher = net.population("teacher", 2, sim.SpikeTrains(times=[1.0, 4.0, 1.0, 8.0], ids=[0, 0, 1, 1]))
    ternary = sim.LoihiLIF(du=4095.0, dv=4095.0, vth=100.0, vth_low=-100)
    source, target = net.population("source", 1, ternary), net.population("target", 1, ternary)
    net.project(teacher[:1], source, sim.AllToAll(), weight=-200.0, delay=1.0)
    net.project(teacher[1:], target, sim.AllToAll(), weight=-200.0, delay=1.0)
    rule = sim.LoihiSTDP(1.0, -0.5, ENDLESS, ENDLESS, x_impulse=3.0, y_impulse=8.0)
    net.project(source, target, sim.OneToOne(), weight=30.0, delay=1.0, plasticity=rule, name="learning")
    net.record(source)
    net.record(target, "u")
    recording = map_to(net, "loihi1", compare=False).run(10, weights_every=1)
    first = 30 + 3 - 4
    second = first - 4
    assert recording.weights["learning"].values[:, 0].tolist() == [30] + 3 * [first] + 4 * [second] + 2 * [second + 6]
    assert recording.trace("target", "u").values[[2, 5], 0].tolist() == [64 * -30, 64 * -first]


def test_more_than_a_block():
    cores, size = 66, 1024
    net = sim.Network()
    source = net.population("source", 2, sim.SpikeTrains(times=[3.0, 5.0], ids=[0, 1]))
    cells = net.population("cells", cores * size, sim.LoihiLIF(vth=1.0, dv=0.0, du=4095.0))
    rule = sim.LoihiSTDP(1.0, 0.0, ENDLESS, ENDLESS, x_impulse=7.0)
    net.project(source, cells, sim.AllToAll(), weight=2.0, delay=1.0, plasticity=rule, name="learning")
    image = map_to(net, "loihi2", cores=np.arange(cores * size) // size, compare=False)
    for threads in (1, 2):
        weights = image.run(8, threads=threads).weights["learning"].values[-1].reshape(2, -1)
        assert (weights[0] == 16).all() and (weights[1] == 9).all()
