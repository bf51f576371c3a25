"""The emulator of Loihi: any number of threads, blocks and either kernel give the same as the engine."""

import numpy as np
import pytest

import spikesim as sim
from spikesim.errors import CapacityError, DescriptionError, KindError, NameUnknownError, UnsupportedError
from spikesim.hardware import map_to
from spikesim.hardware.loihi.emulator import Emulator
from spikesim.hardware.loihi.image import ChipImage
from spikesim.hardware.loihi.kernels import ALL, How
from spikesim.hardware.loihi.layout import layout_of

NONE = np.empty(0, np.int64)


def recurrent(neurons=900, fan_out=20, **parameters):
    """Neurons that fire by their bias, with weights and delays of all kinds, and a Poisson input."""
    rng = np.random.default_rng(0)
    net = sim.Network()
    receptors = {"input": sim.ShiftedSum(), "fine": sim.ShiftedSum(exponent=-3), "coarse": sim.ShiftedSum(exponent=4)}
    lif = sim.LoihiLIF(du=600.0, dv=90.0, vth=300.0, bias_mant=rng.integers(0, 900, neurons), receptors=receptors, **parameters)
    cells = net.population("cells", neurons, lif, initial={"u": rng.integers(-900, 900, neurons), "v": rng.integers(-9000, 9000, neurons)})
    source = net.population("source", 50, sim.Poisson(rate=100.0))
    for sender, receptor in ((cells, "input"), (source, "fine"), (cells, "coarse")):
        weights = 2.0 * rng.integers(-60, 66, len(sender) * fan_out)
        delays = rng.integers(1, 64, len(weights)).astype(float)
        net.project(sender, cells, sim.FixedOutdegree(fan_out, multapses=False), weight=weights, delay=delays, receptor=receptor)
    net.record(cells)
    for variable in "uv":
        net.record(cells[5:600:7], variable)
    return net


def same(found, wanted):
    assert len(wanted.spikes["cells"]) > 200
    np.testing.assert_array_equal(found.spikes["cells"].times, wanted.spikes["cells"].times)
    np.testing.assert_array_equal(found.spikes["cells"].ids, wanted.spikes["cells"].ids)
    np.testing.assert_array_equal(found.spikes["cells"].sizes, wanted.spikes["cells"].sizes)
    for variable in "uv":
        np.testing.assert_array_equal(found.trace("cells", variable).values, wanted.trace("cells", variable).values)


@pytest.mark.parametrize("parameters", [{}, {"refractory": 3.0}, {"reset": "subtract"}, {"interval": 11, "offset": 4}, {"vth_low": -200}])
def test_any_number_of_threads(parameters):
    """Cores are divided among threads, more than there are, too; the recording is that of the engine."""
    net = recurrent(**parameters)
    image = map_to(net, "loihi1", cores=np.random.default_rng(1).integers(0, 7, 900), compare=False)
    wanted = sim.Simulation(net, dt=1.0, progress=False).run(80.0, progress=False)
    for threads in (None, 1, 2, 5, 40):
        same(image.run(80, threads=threads), wanted)


def test_both_kernels():
    """Neurons without variants that fit 32 bits have a kernel of their own; it gives what the one for all neurons gives."""
    image = map_to(recurrent(), "loihi1", compare=False)
    plain, wide = Emulator(image), Emulator(image)
    assert plain.how == How(True, False, 6 * 64)
    cells = np.zeros((len(wide.tiles.begins), 12, 64), np.int32)
    cells[:, :6] = wide.tiles.cells.reshape(-1, 6, 64)
    cells[:, 6], cells[:, 10] = -(2**31), 1  # never below the lower threshold
    wide.tiles, wide.how = wide.tiles._replace(cells=cells.reshape(-1)), How(False, False, ALL)
    found, wanted = (emulator.advance(200, NONE, NONE) for emulator in (plain, wide))
    assert len(found[0][0]) > 1000
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(plain.u, wide.u)
    np.testing.assert_array_equal(plain.v, wide.v)
    assert abs(plain.u).max() > 100_000
    np.testing.assert_array_equal(plain.activity.active, wide.activity.active)


@pytest.mark.parametrize(("weight", "inputs"), [(255.0, 1100), (-256.0, 1100)])
def test_input_that_leaves_32_bits(weight, inputs):
    """Where all synapses at once would bring more than 32 bits hold, the update is done in 64, as the engine does it."""
    net = sim.Network()
    ids = np.tile(np.arange(inputs), 6)
    source = net.population("source", inputs, sim.SpikeTrains(times=np.repeat(np.arange(1.0, 7.0), inputs), ids=ids))
    cells = net.population("cells", 3, sim.LoihiLIF(du=0.0, dv=4095.0, vth=131071, receptors={"input": sim.ShiftedSum(exponent=3)}))
    net.project(source, cells, sim.AllToAll(), weight=weight, delay=1.0)
    for variable in "uv":
        net.record(cells, variable)
    image = map_to(net, "loihi1", compare=False)
    assert not Emulator(image).how.plain
    found, wanted = image.run(12), sim.Simulation(net, dt=1.0, progress=False).run(12.0, progress=False)
    for variable in "uv":
        np.testing.assert_array_equal(found.trace("cells", variable).values, wanted.trace("cells", variable).values)


def test_more_than_a_block():
    """Targets are counted in 16 bits within a block, and so are the synapses after a head: more make more of both."""
    cores, size = 66, 1024
    net = sim.Network()
    source = net.population("source", 2, sim.SpikeTrains(times=[3.0, 5.0], ids=[0, 1]))
    cells = net.population("cells", cores * size, sim.LoihiLIF(vth=1.0, dv=0.0, du=4095.0))
    net.project(source, cells, sim.AllToAll(), weight=2.0, delay=1.0)
    image = map_to(net, "loihi1", cores=np.arange(cores * size) // size, compare=False)
    assert len(layout_of(image, 1).blocks) == 3
    emulator = Emulator(image, threads=1)
    (when, who), _, _ = emulator.advance(8, np.array([3, 5]), cores * size + np.arange(2))
    np.testing.assert_array_equal(when, np.repeat([4, 6], cores * size))
    np.testing.assert_array_equal(who, np.tile(np.arange(cores * size), 2))
    assert emulator.activity.spikes.tolist() == [2] * (cores * size) + [1, 1]


def test_reset_begins_anew():
    """A run after `reset` is that of a new emulator, with another bias if one is given."""
    image = map_to(recurrent(), "loihi1", compare=False)
    emulator = Emulator(image)
    first = emulator.advance(40, NONE, NONE)[0]
    bias = image.cells["bias"] // 2
    emulator.reset(bias)
    np.testing.assert_array_equal(emulator.advance(40, NONE, NONE)[0], Emulator(image, bias=bias).advance(40, NONE, NONE)[0])
    emulator.reset()
    np.testing.assert_array_equal(emulator.advance(40, NONE, NONE)[0], first)


def test_options():
    """An option that a backend does not have is named, with those that it has."""
    image = map_to(recurrent(30, 2), "loihi1", compare=False)
    with pytest.raises(DescriptionError, match="threads must be a whole number from 1 on, got 0"):
        image.run(5, threads=0)
    with pytest.raises(NameUnknownError, match=r"run: backend 'emulator': unknown option 'deadline'; known: threads"):
        image.run(5, deadline=3.0)
    with pytest.raises(NameUnknownError, match=r"backend 'lava': unknown option 'silent'; did you mean 'silence'\?"):
        image.run(5, backend="lava", silent=3.0)
    with pytest.raises(UnsupportedError, match="threads=2 is for the emulator"):
        image.run(5, backend="lava", threads=2)


def test_a_core_beyond_all_chips():
    net = sim.Network()
    net.population("cells", 70_000, sim.LoihiLIF())
    image = map_to(net, "loihi1", compare=False)
    with pytest.raises(CapacityError, match=r"core 0 has more than 65,536 compartments"):
        Emulator(type(image)(**{**vars(image), "core_starts": np.array([0, 70_000])}))


def test_trials_are_runs():
    """Trials give what as many runs give, each with its inputs, currents or seed."""
    image = map_to(recurrent(300, 10), "loihi1", compare=False)
    rng = np.random.default_rng(2)
    given = rng.random((5, 30, 50)) < 0.2
    currents = rng.integers(-500, 500, (5, 300))
    found = image.trials(30, inputs={"source": given}, currents={"cells": currents}, threads=3)
    assert len(found) == 5
    for k, recording in enumerate(found):
        wanted = image.run(30, inputs={"source": given[k]}, currents={"cells": currents[k]})
        np.testing.assert_array_equal(recording.spikes["cells"].ids, wanted.spikes["cells"].ids)
        np.testing.assert_array_equal(recording.trace("cells", "u").values, wanted.trace("cells", "u").values)
    one, two, again = image.trials(30, seeds=[4, 5, 4])
    np.testing.assert_array_equal(one.trace("cells", "u").values, image.run(30, seed=4).trace("cells", "u").values)
    np.testing.assert_array_equal(one.trace("cells", "u").values, again.trace("cells", "u").values)
    assert (one.trace("cells", "u").values != two.trace("cells", "u").values).any()


@pytest.mark.parametrize(("given", "error", "message"), [
    ({}, DescriptionError, r"inputs, currents or seeds for the same number of trials, got none"),
    ({"currents": {"cells": np.zeros((2, 30))}, "seeds": [1, 2, 3]}, DescriptionError, r"the same number of trials, got \[2, 3\]"),
    ({"currents": {"cells": []}}, DescriptionError, r"the same number of trials, got \[0\]"),
    ({"currents": np.zeros((2, 30))}, KindError, r"trials: currents must map populations to one entry for each trial"),
    ({"currents": {"cells": 3.0}}, KindError, r"trials: expected a sequence with one entry for each trial, got 3\.0"),
    ({"currents": {"cell": np.zeros((2, 30))}}, NameUnknownError, r"unknown population 'cell'; did you mean 'cells'\?"),
    ({"seeds": [1, -1]}, DescriptionError, r"seed: expected 0 to 2\*\*64 - 1, got -1"),
    ({"seeds": [1], "threads": 0}, DescriptionError, r"threads must be a whole number from 1 on, got 0"),
])  # fmt: skip
def test_bad_trials(given, error, message):
    image = map_to(recurrent(30, 2), "loihi1", compare=False)
    with pytest.raises(error, match=message):
        image.trials(5, **given)


def test_trials_that_learn():
    """Each trial learns from the weights of the image, with its own seed; threads and sharing change nothing."""
    rng = np.random.default_rng(0)
    ids, steps = np.nonzero(rng.random((20, 60)) < 0.3)
    net = sim.Network()
    source = net.population("source", 20, sim.SpikeTrains(times=steps + 1.0, ids=ids))
    cells = net.population("cells", 12, sim.LoihiLIF(du=4095.0, dv=500.0, vth=300.0))
    rule = sim.LoihiSTDP(a_plus=1.0, a_minus=-0.75, tau_plus=10.0, tau_minus=15.0, rounding="own")
    net.project(source, cells, sim.Dense(rng.integers(20, 90, (20, 12)).astype(float)), delay=1.0, plasticity=rule, name="learning")
    image = map_to(net, "loihi1", cores=np.arange(12) % 3, compare=False)
    found = image.trials(60, seeds=[3, 4, 3], weights_every=20, threads=2)
    values = [recording.weights["learning"].values for recording in found]
    assert values[0].shape == (3, 240)
    np.testing.assert_array_equal(values[0], values[2])
    assert (values[0] != values[1]).any()
    np.testing.assert_array_equal(values[1], image.run(60, seed=4, weights_every=20, threads=3).weights["learning"].values)


def graded(largest, trains=True):
    """The recurrent network with inputs whose spikes have sizes up to the ``largest``."""
    rng = np.random.default_rng(3)
    net = recurrent(vth_low=-900)
    steps, ids = np.nonzero(rng.random((80, 30)) < 0.3)
    given = sim.SpikeTrains(steps + 1.0, ids, rng.choice([-largest, -1, 1, 2, largest], len(ids)))
    source = net.population("trains", 30, given if trains else sim.SpikeTrains([], []))
    for receptor in ("input", "fine"):
        net.project(source, net.populations["cells"], sim.FixedOutdegree(40, multapses=False), weight=2.0 * rng.integers(-60, 66, 1200),
                    delay=rng.integers(1, 64, 1200).astype(float), receptor=receptor)  # fmt: skip
    net.record(source)
    return net, given


@pytest.mark.parametrize("largest", [3, 5000])
def test_sizes_of_inputs(largest, tmp_path):
    """Sizes multiply the weights, as on the engine: the network's own, those of an image from a file, and those that a run is given."""
    net, given = graded(largest)
    cores = np.random.default_rng(1).integers(0, 7, 900)
    image, bare = (map_to(each, "loihi2", cores=cores, compare=False) for each in (net, graded(largest, trains=False)[0]))
    wanted = sim.Simulation(net, dt=1.0, progress=False).run(80.0, progress=False)
    image.save(tmp_path / "image.h5")
    runs = [image.run(80, threads=threads) for threads in (1, 2, 5)]
    runs += [ChipImage.load(tmp_path / "image.h5").run(80), bare.run(80, inputs={"trains": given})]
    twice = bare.trials(80, inputs={"trains": [given, sim.SpikeTrains(given.times, given.ids)]})
    for found in (*runs, twice[0]):
        same(found, wanted)
        np.testing.assert_array_equal(found.spikes["trains"].sizes, wanted.spikes["trains"].sizes)
    assert {-1, 2, largest} <= set(runs[0].spikes["trains"].sizes)
    same(twice[1], bare.run(80, inputs={"trains": sim.SpikeTrains(given.times, given.ids)}))
    assert (twice[1].spikes["trains"].sizes == 1).all()


def test_sizes_choose_the_kernel():
    """The narrow kernel is for input that fits it, sizes included."""
    image = map_to(recurrent(), "loihi2", compare=False)
    assert [Emulator(image, strongest=size).how.plain for size in (1, 10**6)] == [True, False]
    with pytest.raises(DescriptionError, match="got a spike of size 7, was made for sizes up to 1; reset it with strongest="):
        Emulator(image).advance(3, np.array([1]), np.array([900]), sizes=np.array([-7], np.int32))


def test_sizes_that_cannot_be():
    net, given = graded(2**26)
    with pytest.raises(UnsupportedError, match=r"loihi1: population 'trains': its SpikeTrains have sizes, the chip's spikes have none"):
        map_to(net, "loihi1")
    image = map_to(net, "loihi2", compare=False)
    with pytest.raises(DescriptionError, match=r"population 'cells': neuron \d+: its input in one step could reach .* by the sizes"):
        image.run(80)
    bare = map_to(graded(2, trains=False)[0], "loihi1", compare=False)
    bare.run(2, inputs={"trains": sim.SpikeTrains([1.0], [0], [1])})
    with pytest.raises(UnsupportedError, match="'trains': its SpikeTrains have sizes"):
        bare.run(80, inputs={"trains": given})
    with pytest.raises(DescriptionError, match="'trains': neuron 2 fires twice in step 1"):
        bare.run(80, inputs={"trains": sim.SpikeTrains([1.0, 1.0], [2, 2])})


def test_currents_that_are_no_numbers():
    image = map_to(graded(2)[0], "loihi2", compare=False)
    with pytest.raises(KindError, match=r"run: currents\['cells'\]: expected whole numbers, got 'x'"):
        image.run(3, currents={"cells": "x"})
