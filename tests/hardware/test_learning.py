"""Learning on Loihi: the rule step by step, its rounding, where it may be used, what it takes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikesim as sim
from spikesim.errors import CapacityError, DescriptionError, FileFormatError, KindError, NameUnknownError, UnsupportedError
from spikesim.hardware import map_to
from spikesim.hardware.energy import energy
from spikesim.hardware.loihi.emulator import Emulator
from spikesim.hardware.loihi.image import ChipImage
from spikesim.hardware.loihi.learning import LavaDraws
from spikesim.hardware.loihi.run import emulate, sent_spikes
from spikesim.hardware.quantize import quantize

ENDLESS = np.inf
PLAIN = {"a_plus": 1.0, "a_minus": -1.0, "tau_plus": ENDLESS, "tau_minus": ENDLESS}
FORCED = sim.LoihiLIF(du=4095.0, dv=4095.0, vth=200.0)  # fires when a weight of 255 arrives, and forgets all else


def spikes_at(array):
    """`SpikeTrains` of an array (steps, size)."""
    steps, ids = np.nonzero(array)
    return sim.SpikeTrains(times=steps + 1.0, ids=ids)


def forced(pre, post, weights, rule, *, start=0.0, source=None):
    """Sources that fire as ``pre`` (steps, sources) says, targets that fire as ``post`` says, and synapses that learn between."""
    net = sim.Network()
    a = net.population("a", pre.shape[1], spikes_at(pre))
    teacher = net.population("teacher", post.shape[1], spikes_at(np.roll(post, -1, axis=0)))  # a step before
    b = net.population("b", post.shape[1], replace_receptors())
    net.project(teacher, b, sim.OneToOne(), weight=255.0, delay=1.0, receptor="teacher")
    made = sim.Dense(weights) if source is None else source
    net.project(a, b, made, weight=1.0 if source is None else start, delay=1.0, receptor="learning", plasticity=rule, name="learning")
    net.record(b)
    return net


def replace_receptors():
    """`FORCED` with a receptor for the teacher and one for synapses that learn, of which nothing is left after a shift by 8 bits."""
    receptors = {"teacher": sim.ShiftedSum(exponent=3), "learning": sim.ShiftedSum(exponent=-8)}
    return sim.LoihiLIF(du=4095.0, dv=4095.0, vth=1000.0, receptors=receptors)


def drawn(rng, steps, size, rate=0.3):
    made = rng.random((steps, size)) < rate
    made[0] = False  # no teacher can be there before
    return made


def by_equations(pre, post, weights, rule, draws):
    """The rule of `LoihiSTDP`, written down again for full matrices; draws: (steps, 6), see `LavaDraws`. Returns weights by step."""
    low, high = {"excitatory": (0, 255), "inhibitory": (-255, 0), "mixed": (-256, 255)}[rule.sign]
    (tau_x, tau_y), (impulse_x, impulse_y) = (rule.tau_plus, rule.tau_minus), (rule.x_impulse, rule.y_impulse)
    x, y, w = np.zeros(pre.shape[1]), np.zeros(post.shape[1]), weights.copy()

    def add(trace, impulse, number):
        return min(trace + np.floor(impulse) + (number < 256 * (impulse % 1)), 127)

    def through(trace, fired, tau, impulse, decay, number):
        last = max((k + 1 for k in np.flatnonzero(fired)), default=0)
        history = [trace]
        for k in range(1, rule.epoch + 1):
            left = np.exp(-1 / tau) * history[-1] if tau else 0.0
            history.append(np.floor(left) + (decay < left % 1))
            history[-1] = add(history[-1], impulse, number) if k == last else history[-1]
        return last, history

    found = []
    for t in range(len(pre)):
        epoch = slice(t - t % rule.epoch, t + 1)
        x = [add(v, impulse_x, 0) if pre[t, i] and pre[epoch, i][:-1].any() else v for i, v in enumerate(x)]
        y = [add(v, impulse_y, draws[t, 0]) if post[t, j] and post[epoch, j][:-1].any() else v for j, v in enumerate(y)]
        if (t + 1) % rule.epoch == 0:
            both = (x, pre, (tau_x, impulse_x, *draws[t, 1:3])), (y, post, (tau_y, impulse_y, *draws[t, 3:5]))
            sides = [[through(v, fired[epoch, i], *rest) for i, v in enumerate(traces)] for traces, fired, rest in both]
            for i, (last_x, history_x) in enumerate(sides[0]):
                for j, (last_y, history_y) in enumerate(sides[1]):
                    total = 128 * w[i, j]
                    for last, amplitude, history in ((last_x, rule.a_minus, history_y), (last_y, rule.a_plus, history_x)):
                        change = np.clip(128 * amplitude * history[last], -32769, 32767) if last else 0
                        total = np.clip(total + change, -32769, 32767)
                    w[i, j] = np.clip(np.floor(total / 128) + (draws[t, 5] < total / 128 % 1), low, high)
            x, y = ([history[-1] for _, history in side] for side in sides)
        found.append(w.copy())
    return np.array(found)


rules = st.builds(
    sim.LoihiSTDP, a_plus=st.sampled_from([0.0, 1.0, 0.5, -0.375, 3.0, 7 * 2.0**-7, 1792.0]),
    a_minus=st.sampled_from([-1.0, 0.25, -0.75, 0.0]),
    tau_plus=st.sampled_from([0.0, 1.5, 10.0, 40.0, ENDLESS]), tau_minus=st.sampled_from([0.0, 7.0, 20.0, ENDLESS]),
    x_impulse=st.sampled_from([16.0, 0.0, 3.75, 127.0]), y_impulse=st.sampled_from([16.0, 1.25, 100.5]),
    epoch=st.sampled_from([1, 2, 3, 8, 63]), sign=st.sampled_from(["excitatory", "inhibitory", "mixed"]),
)  # fmt: skip


@settings(max_examples=25, deadline=None, derandomize=True)
@given(rule=rules, seed=st.integers(0, 2**32))
def test_the_rule(rule, seed):
    """Every weight in every step, on any cores, is what the equations give with Lava's random numbers."""
    rng = np.random.default_rng(seed)
    pre, post = drawn(rng, 130, 4), drawn(rng, 130, 3, rate=0.2)
    low, high = {"excitatory": (0, 256), "inhibitory": (-255, 1), "mixed": (-128, 128)}[rule.sign]
    weights = rng.integers(low, high, (4, 3)) * (2.0 if rule.sign == "mixed" else 1.0)
    image = map_to(forced(pre, post, weights, rule), "loihi1", cores=rng.integers(0, 2, 3), compare=False)
    found = image.run(130, seed=seed, weights_every=1)
    assert len(found.spikes["b"]) == post[:130].sum()
    draws = Emulator(image, seed=seed).draws[0].next(130)
    wanted = by_equations(pre, post, weights, rule, draws)
    np.testing.assert_array_equal(found.weights["learning"].values, wanted.reshape(130, -1))


def window(gaps, rule):
    """The weight after one pair of spikes, the target's ``gap`` steps after the source's, from 100 on."""
    pre, post = np.zeros((2, 60, len(gaps)), bool)
    pre[29], post[29 + np.array(gaps), np.arange(len(gaps))] = True, True
    net = forced(pre, post, None, rule, source=sim.OneToOne(), start=100.0)
    return map_to(net, "loihi1", compare=False).run(60).weights["learning"].values[-1]


def test_window():
    """A source that fires first strengthens by a_plus x1, one that fires later weakens by a_minus y1, both at once does both."""
    gaps = [-20, -3, -1, 0, 1, 3, 20]
    rule = sim.LoihiSTDP(a_plus=2.0, a_minus=-1.0, tau_plus=ENDLESS, tau_minus=ENDLESS, x_impulse=10.0, y_impulse=12.0)
    assert (window(gaps, rule) - 100).tolist() == [-12, -12, -12, 20 - 12, 20, 20, 20]
    one_step = sim.LoihiSTDP(a_plus=2.0, a_minus=-1.0, tau_plus=0.0, tau_minus=0.0, x_impulse=10.0, y_impulse=12.0)
    assert (window(gaps, one_step) - 100).tolist() == [0, 0, 0, 20 - 12, 0, 0, 0]
    decaying = sim.LoihiSTDP(a_plus=1.0, a_minus=-1.0, tau_plus=10.0, tau_minus=10.0, x_impulse=100.0, y_impulse=100.0)
    found = window(gaps, decaying) - 100
    np.testing.assert_allclose(found, [-100 * np.exp(-2), -74.1, -90.5, 0, 90.5, 74.1, 100 * np.exp(-2)], atol=6)  # a trace is rounded


def test_own_numbers_spread_as_the_equations_say():
    """With numbers of their own the traces of 3,000 neurons have mean x exp(-t / tau), and their weights the fraction of a half."""
    neurons, steps = 3000, 12
    pre = np.zeros((steps, neurons), bool)
    pre[1] = True
    post = np.zeros((steps, neurons), bool)
    post[11] = True
    rule = sim.LoihiSTDP(a_plus=0.5, a_minus=0.0, tau_plus=10.0, tau_minus=10.0, x_impulse=100.25, rounding="own")
    image = map_to(forced(pre, post, None, rule, source=sim.OneToOne(), start=50.0), "loihi2", compare=False)
    emulator = Emulator(image, seed=4)
    sent = sent_spikes(image, None, steps)
    emulator.advance(steps, sent.steps, image.source_of_neuron[sent.neurons])
    traces = emulator.memory.history[emulator.tables.side == 0, 1].astype(float)
    expected = 100.25 * np.exp(-1.0)
    assert traces.std() == pytest.approx(1.0, abs=0.5)
    assert abs(traces.mean() - expected) < 5 * traces.std() / np.sqrt(neurons)
    up = emulator.weights - 50 - np.floor(traces / 2)
    assert set(up.tolist()) == {0.0, 1.0}
    odd = traces % 2 == 1
    assert not up[~odd].any()
    assert abs(up[odd].mean() - 0.5) < 5 * 0.5 / np.sqrt(odd.sum())
    again = Emulator(image, seed=5)
    again.advance(steps, sent.steps, image.source_of_neuron[sent.neurons])
    assert not np.array_equal(again.weights, emulator.weights)


def test_shared_and_own_numbers_have_one_distribution():
    """Over 400 seeds the mean and the spread of a trace rounded with Lava's generator are those of our own."""
    pre, post = np.zeros((2, 20, 1), bool)
    pre[1], post[19] = True, True
    found = {}
    for rounding in ("shared", "own"):
        rule = sim.LoihiSTDP(a_plus=1.0, a_minus=0.0, tau_plus=15.0, tau_minus=15.0, x_impulse=120.0, rounding=rounding)
        image = map_to(forced(pre, post, np.zeros((1, 1)), rule), "loihi1", compare=False)
        sent = sent_spikes(image, None, 20)
        found[rounding] = np.array([emulate(image, 20, sent, seed=seed)[0].weights["learning"].values[-1, 0] for seed in range(400)])
    spread = [values.std() for values in found.values()]
    assert abs(found["shared"].mean() - found["own"].mean()) < 5 * np.hypot(*spread) / 20
    assert 0.8 < spread[0] / spread[1] < 1.25


def test_run_in_pieces_and_strewn_over_cores():
    """An emulator that goes on, and one whose neurons lie elsewhere, learns the same; other seeds round otherwise."""
    rng = np.random.default_rng(8)
    pre, post = drawn(rng, 90, 20), drawn(rng, 90, 15)
    for rounding in ("shared", "own"):
        rule = sim.LoihiSTDP(a_plus=0.375, a_minus=-0.5, tau_plus=9.0, tau_minus=17.0, epoch=4, rounding=rounding)
        net = forced(pre, post, None, rule, source=sim.FixedProbability(0.5), start=80.0)
        images = [map_to(net, "loihi1", cores=cores, compare=False) for cores in (np.zeros(15, int), rng.integers(0, 4, 15))]
        whole, strewn = (image.run(90, seed=2).weights["learning"] for image in images)
        np.testing.assert_array_equal(whole.values, strewn.values)
        np.testing.assert_array_equal(whole.sources, strewn.sources)
        emulator = Emulator(images[1], seed=2)
        sent = sent_spikes(images[1], None, 90)
        for count in (1, 40, 49):
            emulator.advance(count, sent.steps, images[1].source_of_neuron[sent.neurons])
        np.testing.assert_array_equal(emulator.weights, whole.values[-1])
        assert not np.array_equal(images[0].run(90, seed=3).weights["learning"].values, whole.values)


def test_lava_draws_in_pieces():
    """Numbers drawn in pieces are those drawn at once; weights get one at the end of each epoch."""
    whole, pieces = LavaDraws(5, 3), LavaDraws(5, 3)
    wanted = whole.next(20)
    np.testing.assert_array_equal(wanted, np.concatenate([pieces.next(n) for n in (1, 4, 15)]))
    assert np.flatnonzero(wanted[:, 5]).tolist() == [2, 5, 8, 11, 14, 17]


def recurrent(rule=None, **options):
    net = sim.Network()
    cells = net.population("cells", 8, sim.LoihiLIF(du=2000.0, dv=300.0, vth=150.0, bias_mant=np.arange(100.0, 900.0, 100.0)))
    rule = sim.LoihiSTDP(a_plus=0.5, a_minus=-0.25, tau_plus=20.0, tau_minus=20.0) if rule is None else rule
    given = {"weight": 20.0, "delay": 1.0, "plasticity": rule} | options
    net.project(cells, cells, sim.AllToAll(), **given)
    net.population("beside", 8, sim.SpikeTrains(times=[1.0], ids=[0]))
    net.record(cells)
    return net


def test_files_keep_the_rule(tmp_path):
    """Network, image and recording come back as they were written, and run the same."""
    rule = sim.LoihiSTDP(a_plus=0.5, a_minus=-0.375, tau_plus=20.0, tau_minus=np.inf, x_impulse=3.25, epoch=2, rounding="own")
    net = recurrent(rule)
    net.save(tmp_path / "net.h5")
    assert sim.Network.load(tmp_path / "net.h5") == net
    assert "plasticity" not in str(net) and "LoihiSTDP(a_plus=0.5" in str(net)
    image = map_to(net, "loihi2", compare=False)
    image.save(tmp_path / "image.h5")
    found = ChipImage.load(tmp_path / "image.h5")
    assert found.plastic == image.plastic
    recording = image.run(300, seed=1, weights_every=100)
    values = recording.weights["cells->cells"].values
    assert values.shape == (3, 64) and (values[-1] != 20).any()
    np.testing.assert_array_equal(found.run(300, seed=1).weights["cells->cells"].values[-1], values[-1])
    recording.save(tmp_path / "out.h5")
    again = sim.Recording.load(tmp_path / "out.h5").weights["cells->cells"]
    for name, array in vars(recording.weights["cells->cells"]).items():
        np.testing.assert_array_equal(getattr(again, name), array)
    with pytest.raises(NameUnknownError, match=r"is it a projection that learns\?.*unknown recording of weights 'cells'; known: cells->"):
        recording.weights["cells"]


def wrong_rule(image):
    return replace(image, plastic=(replace(image.plastic[0], rule=sim.Delta()),))


def wrong_text(image):
    return replace(image, plastic=(replace(image.plastic[0], projection=3),))


def wrong_ends(side):
    """The projection, said to start or end at the inputs that lie beside."""
    return lambda image: replace(image, plastic=(replace(image.plastic[0], **{side: "beside"}),))


def wrong_names(image):
    return replace(image, plastic=(replace(image.plastic[0], source="dogs"),))


def wrong_port(image):
    return replace(image, port_plastic=np.full_like(image.port_plastic, 3))


def wrong_delay(image):
    return replace(image, run_delay=np.full_like(image.run_delay, 2))


def wrong_sign(image):
    return replace(image, weights=np.full_like(image.weights, -3))


def wrong_lists(image):
    return replace(image, axon_list=np.zeros_like(image.axon_list))


def wrong_routes(image):
    return replace(image, routes=np.zeros_like(image.routes))


@pytest.mark.parametrize(("spoil", "message"), [
    (wrong_rule, "plastic has other rules than LoihiSTDP"), (wrong_names, "plastic names unknown populations"),
    (wrong_text, "plastic names are no distinct texts"), (wrong_ends("source"), "sources of cells->cells are not in beside"),
    (wrong_ends("target"), "targets of cells->cells are not in beside"),
    (wrong_port, "port_plastic lie outside -1 to 0"), (wrong_delay, "run_delay of synapses that learn is not 0"),
    (wrong_sign, "weights of cells->cells lie outside 0 to 255"), (wrong_lists, "lists that learn are shared"),
    (wrong_routes, "routes name an axon twice"),
])  # fmt: skip
def test_unsound_images_are_refused(spoil, message, tmp_path):
    spoil(map_to(recurrent(), "loihi1", compare=False)).save(tmp_path / "image.h5")
    with pytest.raises(FileFormatError, match=message):
        ChipImage.load(tmp_path / "image.h5")


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"a_plus": 0.3}, DescriptionError, r"LoihiSTDP\.a_plus: expected m 2\*\*e .* got 0\.3; next to it lie 0\.3125 and 0\.25"),
    ({"a_minus": 9.0}, DescriptionError, r"a_minus: expected .* next to it lie 8 and 10"),
    ({"a_minus": np.nan}, DescriptionError, r"a_minus: expected a number"),
    ({"tau_plus": -1.0}, DescriptionError, r"tau_plus: expected at least 0 ms"),
    ({"x_impulse": 128.0}, DescriptionError, r"x_impulse: expected at most 127"),
    ({"y_impulse": 0.3}, DescriptionError, r"y_impulse: expected a multiple of 1/256, got 0\.3; try 0\.30078125"),
    ({"epoch": 64}, DescriptionError, r"epoch: expected 1 to 63 steps, got 64"),
    ({"epoch": 0}, DescriptionError, r"epoch: expected at least 1"),
    ({"sign": "both"}, DescriptionError, r"sign: expected 'mixed' or 'excitatory' or 'inhibitory', got 'both'"),
    ({"rounding": "none"}, DescriptionError, r"rounding: expected 'shared' or 'own', got 'none'"),
    ({"a_plus": np.array([1.0])}, KindError, r"a_plus: expected one number"),
    ({"tau_pre": 2.0}, NameUnknownError, r"unknown parameter 'tau_pre'; did you mean 'tau_plus'"),
])  # fmt: skip
def test_bad_rules(options, error, message):
    with pytest.raises(error, match=message):
        sim.LoihiSTDP(**PLAIN | options)


MIXED = sim.LoihiSTDP(**PLAIN, sign="mixed")


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"plasticity": "stdp"}, KindError, r"expected plasticity such as LoihiSTDP\(\.\.\.\), or None, got 'stdp'"),
    ({"delay": 2.0}, UnsupportedError, r"synapses that learn have a delay of 1 step, got 2"),
    ({"delay": 0.5}, DescriptionError, r"delay: 0\.5 ms is not a multiple"),
    ({"weight": -20.0}, DescriptionError, r"with the sign 'excitatory' weights lie between 0 and 255, got -20"),
    ({"weight": 2.5}, DescriptionError, r"weights must be whole numbers"),
    ({"weight": 3.0, "plasticity": MIXED}, DescriptionError, r"with the sign 'mixed' weights start even .* got 3"),
])  # fmt: skip
def test_bad_projections(options, error, message):
    with pytest.raises(error, match=message):
        map_to(recurrent(**options), "loihi1", compare=False)


def test_shared_weights_cannot_learn():
    net = sim.Network()
    a = net.population("a", (1, 4, 4), sim.SpikeTrains(times=[1.0], ids=[0]))
    b = net.population("b", (1, 4, 4), FORCED)
    with pytest.raises(DescriptionError, match=r"'a->b': the synapses of Conv share their weights and cannot learn one by one; give them"):
        net.project(a, b, sim.Conv(np.ones((1, 1, 3, 3)), padding=1), delay=1.0, plasticity=sim.LoihiSTDP(**PLAIN))
    assert not net.projections


def test_a_convolution_beside_does_not_share_what_learns():
    """With convolutions in the network axons with equal lists share one, but not those that learn."""
    net = sim.Network()
    a = net.population("a", (1, 4, 4), sim.Poisson(rate=300.0))
    b = net.population("b", (1, 4, 4), sim.LoihiLIF(du=4095.0, vth=60.0))
    net.project(a, b, sim.Conv(np.full((1, 1, 3, 3), 20.0), padding=1), delay=1.0)
    learning = net.copy()
    learning.project(a, b, sim.OneToOne(), weight=100.0, delay=1.0, plasticity=sim.LoihiSTDP(0.125, -0.125, 10.0, 10.0), name="learning")
    shared, own, alone = (map_to(learning, "loihi1", compare=False), map_to(learning, "loihi1", compare=False, convolutions_share=False),
                          map_to(net, "loihi1", compare=False))  # fmt: skip
    assert len(np.unique(alone.axon_list)) < len(np.unique(shared.axon_list)) == len(shared.axon_list)
    found, wanted = (image.run(100, seed=3).weights["learning"].values for image in (shared, own))
    np.testing.assert_array_equal(found, wanted)
    assert len(np.unique(found)) > 3


@pytest.mark.parametrize("run", [lambda net: sim.Simulation(net, dt=1.0), quantize, lambda net: map_to(net, "truenorth")])
def test_elsewhere_learning_is_refused(run):
    with pytest.raises(UnsupportedError, match=r"projection 'cells->cells': .* has no LoihiSTDP; run it on Loihi, map_to"):
        run(recurrent())


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"weights_every": 0}, DescriptionError, r"weights_every: expected a whole number of steps from 1 to 5, got 0"),
    ({"weights_every": 6}, DescriptionError, r"from 1 to 5, got 6"), ({"seed": -1}, DescriptionError, r"seed: expected 0 to"),
    ({"silence": 3.0}, NameUnknownError, r"unknown option 'silence'"),
])  # fmt: skip
def test_bad_runs(options, error, message):
    with pytest.raises(error, match=message):
        map_to(recurrent(), "loihi1", compare=False).run(5, **options)


def test_capacity_and_report():
    """Weights that learn take all 8 bits, with both signs 9; a core has three kinds of presynaptic traces; the report names the rules."""
    for sign, bits in (("excitatory", 8), ("inhibitory", 8), ("mixed", 9)):
        net = sim.Network()
        source = net.population("in", 1, sim.SpikeTrains(times=[1.0], ids=[0]))
        cells = net.population("cells", 64, sim.LoihiLIF())
        net.project(source, cells, sim.AllToAll(), weight=0.0, delay=1.0, plasticity=sim.LoihiSTDP(**PLAIN, sign=sign))
        image = map_to(net, "loihi1", compare=False)
        assert image.bits.tolist() == [-(-(64 * bits + 10) // 64) * 64]
        assert "learning: 'in->cells', 64 synapses, LoihiSTDP(a_plus=1.0" in str(image.report)
        assert image.report.occupancy()["trace_profiles"][1] == pytest.approx(1 / 3)
    for k in range(3):
        rule = sim.LoihiSTDP(**PLAIN | {"tau_plus": 10.0 + k})
        net.project(source, cells, sim.AllToAll(), weight=2.0, delay=1.0, plasticity=rule)
    with pytest.raises(CapacityError, match=r"core 0 needs 4 trace profiles, has 3 \(nengo-loihi"):
        map_to(net, "loihi1", compare=False)
    map_to(net, "loihi2", compare=False)


def test_kinds_of_postsynaptic_traces():
    """A compartment has three: as many kinds may learn at a neuron, at different neurons more."""
    net = sim.Network()
    source = net.population("in", 1, sim.SpikeTrains(times=[1.0], ids=[0]))
    cells = net.population("cells", 4, sim.LoihiLIF())
    for k in range(4):
        net.project(source, cells[k:], sim.AllToAll(), weight=2.0, delay=1.0, plasticity=sim.LoihiSTDP(**PLAIN | {"tau_minus": 9.0 + k}))
    with pytest.raises(CapacityError, match=r"population 'cells': neuron 3 needs 4 kinds of postsynaptic traces, has 3 \(Davies"):
        map_to(net, "loihi1", compare=False)
    map_to(net, "loihi2", compare=False)
    del net.projections["in->cells"]
    map_to(net, "loihi1", compare=False)


def test_energy():
    """Each synapse with a spike at either end in an epoch is one update of 120 pJ (Davies et al. 2018)."""
    pre, post = np.zeros((10, 2), bool), np.zeros((10, 3), bool)
    pre[3, 0] = pre[4, 0] = True  # one epoch, three synapses
    pre[8, 1] = post[9, 2] = True  # the next one: three, and one more of the other source
    image = map_to(forced(pre, post, np.full((2, 3), 9.0), sim.LoihiSTDP(**PLAIN, epoch=5)), "loihi1", compare=False)
    _, activity = emulate(image, 10, sent_spikes(image, None, 10))
    assert activity.learned.tolist() == [3 + 3 + 1]
    assert energy(image, activity).joules["learning"] == pytest.approx(7 * 120e-12)


def test_spikes_with_sizes_do_not_learn():
    net = sim.Network()
    source = net.population("in", 1, sim.SpikeTrains([1.0], [0], [3]))
    cells = net.population("cells", 2, sim.LoihiLIF())
    rule = sim.LoihiSTDP(a_plus=1.0, a_minus=-1.0, tau_plus=10.0, tau_minus=10.0)
    net.project(source, cells, sim.AllToAll(), weight=2.0, delay=1.0, plasticity=rule, name="learning")
    with pytest.raises(UnsupportedError, match=r"'learning': its synapses learn from spikes of size 1, those of 'in' have sizes"):
        map_to(net, "loihi2")
