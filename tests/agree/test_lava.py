"""Lava 0.10.0: the integer engine agrees with it in every spike, u and v, at every step."""

from importlib.util import find_spec

import numpy as np
import pytest

import spikesim as sim
from spikesim.errors import UnsupportedError
from spikesim.hardware import map_to
from spikesim.hardware.loihi import trials
from spikesim.hardware.loihi.build import build
from spikesim.hardware.loihi.circuit import circuit_of
from spikesim.hardware.loihi.lava import run_lava
from spikesim.hardware.loihi.lava_form import lava_form
from spikesim.hardware.loihi.lava_network import LavaCells, LavaLinks, LavaNetwork
from spikesim.hardware.loihi.mapping import probes_of
from spikesim.hardware.loihi.weights import stored
from spikesim.population import Population

pytestmark = pytest.mark.skipif(find_spec("lava") is None, reason="Lava is not installed")

STEPS, BATCH, LEARNING_STEPS = 60, 40, 100
SIGNS = {"mixed": (-128, 128), "positive": (0, 256), "negative": (-255, 1)}
VARIANTS = [("plain", "reset"), ("ternary", "plain"), ("refractory", "plain"), ("soft", "refractory"), ("soft", "reset")]


def random_network(seed, variants, exponents, signs):
    """Many small random networks side by side in one, for Lava's time goes by processes; extreme values included."""
    rng = np.random.default_rng(seed)
    net = sim.Network()
    for k in range(BATCH):
        add_small(net, f"{k}", rng, rng.permutation(variants)[: int(rng.integers(1, 3))], exponents, signs)
    for population in net.populations.values():
        if isinstance(population.model, sim.LoihiLIF):
            for variable in ("spikes", "u", "v"):
                net.record(population, variable)
    return net


def add_small(net, prefix, rng, variants, exponents, signs):
    """Inputs, one population of each of ``variants``, and projections between all of them."""
    size = int(rng.integers(1, 9))
    ids, steps = np.nonzero(rng.random((size, STEPS)) < rng.choice([0.05, 0.3, 0.9]))
    source = net.population(f"{prefix}.input", size, sim.SpikeTrains(steps + 1.0, ids, spike_sizes(rng, len(ids), max(exponents))))
    targets = [add_population(net, f"{prefix}.{variant}", rng, variant, exponents) for variant in variants]
    for target in targets:
        for name, receptor in target.model.receptors.items():
            senders = [source, *targets]
            if receptor.exponent < 0:  # Lava rounds the sum of each connection process and delay by itself
                senders = [senders[int(rng.integers(len(senders)))]]
            for sender in senders:
                low, high = SIGNS[signs if receptor.exponent < 0 else str(rng.choice(list(SIGNS)))]
                add_projection(net, sender, target, receptor.exponent, rng.integers(low, high, (len(sender), len(target))), name, rng)


def spike_sizes(rng, count, exponent):
    """For half of the inputs sizes of both signs, one of them large, with which u stays within 32 bits."""
    if rng.random() < 0.5 or count == 0:
        return None
    sizes = rng.integers(1, 2 + 2 ** max(7 - exponent, 0), count)
    sizes[rng.integers(count)] = 2 ** (14 - exponent)
    return sizes * rng.choice([-1, 1], count)


def add_population(net, name, rng, variant, exponents):
    size = int(rng.integers(1, 13))

    def some(low, high, extremes):
        return np.where(rng.random(size) < 0.2, rng.choice(extremes, size), rng.integers(low, high, size))

    values = {"du": some(0, 4096, [0, 4095]), "dv": some(0, 4096, [0, 4095]), "bias_mant": some(-200, 600, [-4096, 4095, 0]),
              "bias_exp": some(-2, 4, [7, -8]), "vth": some(0, 3000, [0, 131071, 20]), "refractory": np.zeros(size)}  # fmt: skip
    values |= {"refractory": {"refractory": some(0, 6, [64, 1, 0])}, "reset": {"interval": 13, "offset": 5},
               "ternary": {"vth": np.full(size, 70.0), "vth_low": -40}, "plain": {},
               "soft": {"reset": "subtract", "refractory": some(0, 3, [0])}}[variant]  # fmt: skip
    receptors = {f"e{k}": sim.ShiftedSum(exponent=exponent) for k, exponent in enumerate(exponents)}
    edge = 2**23 - 1
    initial = {"u": some(-(10**5), 10**5, [edge, -edge, 2**30, 0]), "v": some(-(10**5), 10**5, [edge, -edge, 0])}
    return net.population(name, size, sim.LoihiLIF(**values, receptors=receptors), initial=initial)


def add_projection(net, source, target, exponent, weights, receptor, rng):
    if weights.min() < 0 < weights.max() or weights.min() >= -128:
        weights = 2 * weights if weights.min() < 0 else weights
    weights = np.where(rng.random(weights.shape) < 0.1, 0, weights)
    pre, post = np.nonzero(weights)
    if rng.random() < 0.3 or len(pre) == 0:
        net.project(source, target, sim.Dense(weights.astype(float)), delay=float(rng.integers(1, 5)), receptor=receptor)
        return
    delay = float(rng.choice([1, 63, 3])) if exponent < 0 else rng.integers(1, 64, len(pre)).astype(float)
    net.project(source, target, sim.PairList(pre, post), weight=weights[pre, post].astype(float), delay=delay, receptor=receptor)


def in_lava(net, steps=STEPS):
    """For each population (spikes, u, v), whole numbers (steps, size)."""
    circuit = circuit_of(net)
    form = lava_form(circuit, steps)
    (result,) = run_lava([form.network], steps)
    made = {}
    for at, name in enumerate(circuit.names):
        if not circuit.inputs[at]:
            own = np.arange(*circuit.starts[at : at + 2])
            (process,) = np.unique(form.process[own])
            made[name] = tuple(array[process][:, form.number[own]] for array in (result.spikes, result.u, result.v))
    return made


def on_cores(net, seed):
    """The same of the emulator, with the neurons strewn over some cores."""
    circuit, rng = circuit_of(net), np.random.default_rng(seed)
    cores = int(rng.integers(1, 20))
    core = np.where(circuit.is_input, -1, rng.integers(0, cores, circuit.neurons))
    image = build(circuit, core, np.zeros((cores, 3), np.int64), "loihi2", probes_of(net))
    return of_recording(image.run(STEPS))


def in_engine(net):
    return of_recording(sim.Simulation(net, dt=1.0, threads=1, progress=False).run(float(STEPS), progress=False))


def of_recording(recording):
    made = {}
    for name, spikes in recording.spikes.items():
        fired = np.zeros((STEPS, len(spikes.recorded)), np.int64)
        fired[np.rint(spikes.times).astype(int) - 1, spikes.ids] = spikes.sizes
        made[name] = fired, recording.trace(name, "u").values, recording.trace(name, "v").values
    return made


@pytest.mark.parametrize(("seed", "variants"), list(enumerate(VARIANTS)))
def test_random_networks(seed, variants):
    """Two hundred networks of all variants, signs, exponents, delays, with extreme values: engine, emulator and Lava."""
    rng = np.random.default_rng(seed)
    exponents, signs = (int(rng.integers(0, 8)), int(rng.integers(-8, 0))), list(SIGNS)[seed % 3]
    net = random_network(seed, variants, exponents, signs)
    assert sum(population.model.GRADED for name, population in net.populations.items() if name.endswith("input")) > 10
    found, emulated, wanted = in_engine(net), on_cores(net, seed), in_lava(net)
    assert found.keys() == wanted.keys() == emulated.keys()
    for name in found:
        for ours, chip in zip(found[name], emulated[name], strict=True):
            np.testing.assert_array_equal(ours, chip, name)
        for variable, ours, theirs in zip(("spikes", "u", "v"), found[name], wanted[name], strict=True):
            np.testing.assert_array_equal(ours, theirs, f"{name}: {variable}")
    fired = np.concatenate([fired.ravel() for fired, _, _ in found.values()])
    assert (fired > 0).sum() > 500 and ("ternary" not in variants or (fired < 0).sum() > 100)


def test_weights_are_stored_as_lava_stores_them():
    """Bits, sign modes (given or taken from the weights), clipping, exponents, dense and sparse; u is 64 times the shifted sum."""
    rng = np.random.default_rng(3)
    steps, size, width = 6, 5, 8
    links, blocks = [], []
    for k, (bits, mode) in enumerate([(8, None), (8, None), (8, None), (1, "mixed"), (3, "excitatory"), (5, "inhibitory"), (7, None),
                                      (2, "inhibitory"), (8, "excitatory"), (4, "mixed")]):  # fmt: skip
        low, high = [(-400, 400), (0, 400), (-400, 0)][k % 3]
        weights = rng.integers(low, high, (size, width))
        sources, targets = (axis.ravel() for axis in np.indices((size, width)))
        exponent = int(rng.integers(-8, 8))
        links.append(LavaLinks(1, 0, weights.ravel(), sources, targets + k * width, exponent=exponent, bits=bits, mode=mode,
                               kind=("dense", "sparse")[k % 2]))  # fmt: skip
        blocks.append((stored(weights, bits=bits, mode=mode), exponent))
    neurons = width * len(blocks)
    same = {"du": 4095, "dv": 0, "vth": 131071, "bias_mant": 0, "bias_exp": 0, "u": 0, "v": 0}
    cells = LavaCells("lif", neurons, {name: np.full(neurons, value) for name, value in same.items()})
    sent = rng.integers(0, 2, (size, steps))
    (result,) = run_lava([LavaNetwork((cells,), tuple(links), (sent,))], steps)
    wanted = np.concatenate([np.floor(sent.T[:-1] @ weights * 2.0**exponent) for weights, exponent in blocks], axis=1)
    wanted = 64 * wanted
    wanted = np.where(wanted > 2**23, wanted - 2**24, np.where(wanted <= -(2**23), wanted + 2**24, wanted))
    np.testing.assert_array_equal(result.u[0][1:], wanted)


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1)])
def test_convolution(stride, padding, dilation):
    """Our `Conv`, unrolled for the chip and as it is on the engine, is Lava's with the kernel turned round."""
    rng = np.random.default_rng(5)
    steps, shape = 8, (2, 7, 6)
    weights = rng.integers(-100, 100, (3, 2, 3, 3))
    size = int(np.prod(shape))
    ids, times = np.nonzero(rng.random((size, steps)) < 0.3)
    net = sim.Network()
    rule = sim.Conv(2.0 * weights, stride, padding, dilation)
    source = net.population("source", shape, sim.SpikeTrains(times=times + 1.0, ids=ids))
    made = net.population("made", rule.target_shape(shape, ""), sim.LoihiLIF(du=4095, vth=131071))
    net.project(source, made, rule, delay=1.0)
    net.record(made, "u")
    recording = sim.Simulation(net, dt=1.0, progress=False).run(float(steps), progress=False)
    sent = np.zeros((size, steps), np.int64)
    sent[ids, times] = 1
    neurons = len(made)
    same = {"du": 4095, "dv": 0, "vth": 131071, "bias_mant": 0, "bias_exp": 0, "u": 0, "v": 0}
    cells = LavaCells("lif", neurons, {name: np.full(neurons, value) for name, value in same.items()})
    geometry = {"input_shape": (shape[1], shape[2], shape[0]), "stride": (stride,) * 2, "padding": (padding,) * 2,
                "dilation": (dilation,) * 2, "groups": 1}  # fmt: skip
    kernel = np.ascontiguousarray(2 * weights.transpose(0, 2, 3, 1)[:, ::-1, ::-1])
    link = LavaLinks(1, 0, kernel, kind="conv", geometry=geometry)
    as_lava = np.ascontiguousarray(sent.reshape(*shape, steps).transpose(1, 2, 0, 3).reshape(size, steps))
    (result,) = run_lava([LavaNetwork((cells,), (link,), (as_lava,))], steps)
    ours = recording.trace("made", "u").values.reshape(steps, *made.shape).transpose(0, 2, 3, 1).reshape(steps, neurons)
    np.testing.assert_array_equal(ours, result.u[0])
    unrolled = in_lava(net, steps)["made"][1]
    np.testing.assert_array_equal(recording.trace("made", "u").values, unrolled)


def test_a_mapped_image_in_lava():
    """The tables of an image's cores, read back into Lava processes, give what the emulator gives: Poisson inputs, conv, soft reset."""
    rng = np.random.default_rng(1)
    net = sim.Network()
    source = net.population("in", (2, 6, 6), sim.Poisson(rate=200.0))
    conv = net.population("conv", (3, 6, 6), sim.LoihiLIF(du=4095.0, vth=120.0, reset="subtract"))
    out = net.population("out", 7, sim.LoihiLIF(du=1000.0, dv=50.0, vth=200.0))
    net.project(source, conv, sim.Conv(2.0 * rng.integers(-60, 100, (3, 2, 3, 3)), padding=1), delay=1.0)
    net.project(conv, out, sim.Dense(2.0 * rng.integers(-100, 128, (108, 7))), delay=3.0)
    net.record(conv)
    net.record(out)
    net.record(out, "v")
    image = map_to(net, "loihi1", cores=rng.integers(0, 4, 115), compare=False)
    currents = {"out": np.full(7, -640)}
    found, wanted = (image.run(40, seed=5, currents=currents, backend=backend) for backend in ("emulator", "lava"))
    assert len(wanted.spikes["conv"]) > 100
    for name in ("conv", "out"):
        np.testing.assert_array_equal(found.spikes[name].times, wanted.spikes[name].times)
        np.testing.assert_array_equal(found.spikes[name].ids, wanted.spikes[name].ids)
    np.testing.assert_array_equal(found.trace("out", "v").values, wanted.trace("out", "v").values)


def test_trials_side_by_side_in_lava():
    """Copies of an image in one run of Lava, each with its inputs and currents, are as many runs of the emulator; two batches of copies."""
    rng = np.random.default_rng(1)
    net = sim.Network()
    source = net.population("in", 12, sim.SpikeTrains(times=[], ids=[]))
    both = net.population("both", 9, sim.LoihiLIF(du=2000.0, dv=900.0, vth=100.0, vth_low=-30))
    soft = net.population("soft", 6, sim.LoihiLIF(du=4095.0, vth=90.0, reset="subtract", refractory=rng.integers(0, 4, 6)))
    for pre, post in ((source, both), (both, soft), (both, both)):
        delays = rng.integers(1, 5, len(pre) * len(post)).astype(float)
        net.project(pre, post, sim.AllToAll(), weight=2.0 * rng.integers(-100, 128, len(pre) * len(post)), delay=delays)
    for population in (both, soft):
        net.record(population)
        net.record(population[1:5:2], "v")
    image = map_to(net, "loihi1", cores=rng.integers(0, 4, 15), compare=False)
    given = {"inputs": {"in": rng.random((7, 40, 12)) < 0.2}, "currents": {"soft": 8 * rng.integers(-50, 200, (7, 6))}}
    for batch in (3 * len(image.targets), trials.SYNAPSES):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trials, "SYNAPSES", batch)
            found = image.trials(40, backend="lava", **given)
        for ours, theirs in zip(image.trials(40, **given), found, strict=True):
            for name in ("both", "soft"):
                for field in ("times", "ids", "sizes"):
                    np.testing.assert_array_equal(getattr(ours.spikes[name], field), getattr(theirs.spikes[name], field))
                np.testing.assert_array_equal(ours.trace(name, "v").values, theirs.trace(name, "v").values)
    assert {-1, 1} == {int(size) for recording in found for size in recording.spikes["both"].sizes}


def sizes_up_to(largest, rng, steps=40, size=6, share=0.4):
    """Spikes of inputs with sizes of both signs, the largest among them."""
    ids, when = np.nonzero(rng.random((size, steps)) < share)
    sizes = rng.integers(1, largest + 1, len(ids))
    sizes[:2] = largest
    return sim.SpikeTrains(when + 1.0, ids, sizes * rng.choice([-1, 1], len(ids)))


def test_sizes_of_inputs_in_lava():
    """Sizes as large as 32 bits take: runs and trials of the emulator and of Lava agree in every u, v and spike; so does the engine
    where u stays within 32 bits, which the sums that are shifted right leave to it."""
    rng = np.random.default_rng(7)
    net = sim.Network()
    sources = {name: net.population(name, 6, sim.SpikeTrains([], [])) for name in ("coarse", "fine")}
    poisson = net.population("poisson", 5, sim.Poisson(rate=200.0))
    receptors = {"coarse": sim.ShiftedSum(exponent=7), "fine": sim.ShiftedSum(exponent=-8)}
    cells = net.population("cells", 60, sim.LoihiLIF(du=rng.integers(0, 4096, 60), dv=900.0, vth=1000.0, receptors=receptors))
    both = net.population("both", 9, sim.LoihiLIF(du=2000.0, vth=5000.0, vth_low=-4000, receptors=receptors))
    for target in (cells, both):
        for sender, receptor in ((poisson, "coarse"), (sources["coarse"], "coarse"), (sources["fine"], "fine")):
            synapses = len(sender) * len(target)
            delay = 3.0 if receptor == "fine" else rng.integers(1, 9, synapses).astype(float)  # Lava rounds each delay's sum by itself
            net.project(sender, target, sim.AllToAll(), weight=2.0 * rng.integers(-128, 128, synapses), delay=delay, receptor=receptor)
        for variable in ("spikes", "u", "v"):
            net.record(target, variable)
    image = map_to(net, "loihi2", cores=rng.integers(0, 4, 69), compare=False)
    fine = [sizes_up_to(2**30 // (6 * 256), rng) for _ in range(3)]
    coarse = [sizes_up_to((2**30 // 128 - 5 * 256) // (6 * 256), rng) for _ in range(3)]
    given = {"inputs": {"coarse": coarse, "fine": fine}, "seeds": [1, 2, 3]}
    found, wanted = (image.trials(40, backend=backend, **given) for backend in ("emulator", "lava"))
    alone = image.run(40, inputs={"coarse": coarse[0], "fine": fine[0]}, seed=1)
    for ours, theirs in zip([*found, alone], [*wanted, wanted[0]], strict=True):
        agree(ours, theirs)
    assert abs(found[0].trace("cells", "u").values).max() > 2**30
    engine = net.copy()
    engine.populations["fine"] = Population("fine", (6,), fine[0])
    within = image.run(40, inputs={"fine": fine[0]}, seed=1, backend="lava")
    agree(sim.Simulation(engine, dt=1.0, seed=1, progress=False).run(40.0, progress=False), within)
    assert abs(within.trace("cells", "u").values).max() > 2**23


def agree(ours, theirs):
    for name in ("cells", "both"):
        assert len(ours.spikes[name]) > 20
        for field in ("times", "ids", "sizes"):
            np.testing.assert_array_equal(getattr(ours.spikes[name], field), getattr(theirs.spikes[name], field))
        for variable in "uv":
            np.testing.assert_array_equal(ours.trace(name, variable).values, theirs.trace(name, variable).values)


def learning_network(seed, exponents):
    """Four small networks side by side: inputs, teachers and recurrent neurons, and projections that learn by rules drawn at random."""
    rng = np.random.default_rng(seed)
    net = sim.Network()
    for k in range(4):
        exponent = exponents[k % len(exponents)]
        senders, cells = int(rng.integers(3, 12)), int(rng.integers(2, 9))
        ids, steps = np.nonzero(rng.random((senders, LEARNING_STEPS)) < rng.choice([0.05, 0.3, 0.6]))
        source = net.population(f"{k}.in", senders, sim.SpikeTrains(times=steps + 1.0, ids=ids))
        ids, steps = np.nonzero(rng.random((cells, LEARNING_STEPS)) < rng.choice([0.05, 0.3]))
        teacher = net.population(f"{k}.teacher", cells, sim.SpikeTrains(times=steps + 1.0, ids=ids))
        receptors = {"teacher": sim.ShiftedSum(exponent=1), "learning": sim.ShiftedSum(exponent=exponent)}
        lif = sim.LoihiLIF(du=4095.0 - k, dv=rng.integers(0, 4096, cells), vth=400.0 * 2.0 ** max(exponent, 0), receptors=receptors,
                           reset="subtract" if k == 1 else "zero")  # fmt: skip
        target = net.population(f"{k}.out", cells, lif)
        net.project(teacher, target, sim.OneToOne(), weight=255.0, delay=1.0, receptor="teacher")
        learning_projection(net, source, target, f"{k}", rng)
        if exponent >= 0 and k % 2:
            learning_projection(net, target, target, f"{k} recurrent", rng)
        net.record(target)
        net.record(target, "v")
    return net


def learning_projection(net, source, target, name, rng):
    """Dense or sparse, some pairs twice; weights from 0 on or of both signs; amplitudes, time constants, impulses, epochs of all sizes."""
    sign = str(rng.choice(["excitatory", "inhibitory", "mixed"]))
    low, high = {"excitatory": (0, 256), "inhibitory": (-255, 1), "mixed": (-128, 128)}[sign]
    rule = sim.LoihiSTDP(
        a_plus=float(rng.integers(-8, 8) * 2.0 ** rng.integers(-7, -1)), a_minus=float(rng.integers(-8, 8) * 2.0 ** rng.integers(-7, -1)),
        tau_plus=float(rng.choice([0.0, 3.0, 11.5, 40.0, np.inf])), tau_minus=float(rng.choice([0.0, 5.0, 20.0, 300.0, np.inf])),
        x_impulse=float(rng.integers(0, 5000) / 256), y_impulse=float(rng.choice([16.0, 0.25, 100.5])),
        epoch=int(rng.choice([1, 1, 2, 5, 16, 63])), sign=sign,
    )  # fmt: skip
    scale = 2 if sign == "mixed" else 1
    if rng.random() < 0.4:
        rule_of_pairs, weight = sim.Dense(scale * rng.integers(low, high, (len(source), len(target))).astype(float)), 1.0
    else:
        pre, post = np.nonzero(rng.random((len(source), len(target))) < 0.6)
        twice = 2 if net.populations[target.name].model.receptors["learning"].exponent >= 0 else 0
        pre, post = np.append(pre, pre[:twice]), np.append(post, post[:twice])
        rule_of_pairs, weight = sim.PairList(pre, post), scale * rng.integers(low, high, len(pre)).astype(float)
    net.project(source, target, rule_of_pairs, weight=weight, delay=1.0, receptor="learning", plasticity=rule, name=name)


@pytest.mark.parametrize(("seed", "exponents"), [(4, (0, 2, 1, 7)), (0, (-1, 3, -8, 0))])
def test_learning(seed, exponents):
    """Weights, spikes and potentials of projections that learn, with all that is rounded at random, over many steps."""
    net = learning_network(seed, exponents)
    neurons = sum(len(p) for name, p in net.populations.items() if name.endswith("out"))
    image = map_to(net, "loihi2", cores=np.arange(neurons) % 5, compare=False)
    found, wanted = (image.run(LEARNING_STEPS, seed=11, weights_every=20, backend=backend) for backend in ("emulator", "lava"))
    assert found.weights.keys() == wanted.weights.keys() == {each.projection for each in image.plastic}
    for name, weights in wanted.weights.items():
        for column, array in vars(weights).items():
            np.testing.assert_array_equal(getattr(found.weights[name], column), array, f"{name}: {column}")
    for name, spikes in wanted.spikes.items():
        np.testing.assert_array_equal(found.spikes[name].times, spikes.times, name)
        np.testing.assert_array_equal(found.spikes[name].ids, spikes.ids, name)
        np.testing.assert_array_equal(found.trace(name, "v").values, wanted.trace(name, "v").values, name)
    values = np.concatenate([weights.values for weights in wanted.weights.values()], axis=1)
    assert (np.diff(values, axis=0) != 0).sum() > 100


def test_what_lava_cannot_learn_is_refused():
    """Random numbers of each trace; a receptor that rounds the sums of two projections."""
    rule = {"a_plus": 1.0, "a_minus": -1.0, "tau_plus": 9.0, "tau_minus": 9.0}
    net = sim.Network()
    cells = net.population("cells", 2, sim.LoihiLIF(receptors={"r": sim.ShiftedSum(exponent=-2)}))
    net.project(cells, cells, sim.AllToAll(), weight=2.0, delay=1.0, plasticity=sim.LoihiSTDP(**rule, rounding="own"))
    with pytest.raises(UnsupportedError, match=r"'cells->cells': Lava draws one random number for all traces of a projection; run it with"):
        map_to(net, "loihi1", compare=False).run(5, backend="lava")
    net = sim.Network()
    cells = net.population("cells", 2, sim.LoihiLIF(receptors={"r": sim.ShiftedSum(exponent=-2)}))
    net.project(cells, cells, sim.AllToAll(), weight=2.0, delay=1.0, plasticity=sim.LoihiSTDP(**rule))
    net.project(cells, cells, sim.AllToAll(), weight=2.0, delay=1.0)
    with pytest.raises(UnsupportedError, match=r"with its negative exponent -2 Lava rounds the sum of each source and delay by itself"):
        map_to(net, "loihi1", compare=False).run(5, backend="lava")


def test_floating_point_models():
    """Lava's floating-point models take real parameters and give real traces."""
    cells = LavaCells("lif", 2, {"du": 0.5, "dv": 0.25, "vth": 100.0, "bias_mant": np.array([1.0, 2.0]), "bias_exp": np.zeros(2),
                                 "u": np.array([8.0, 0.0]), "v": np.zeros(2)})  # fmt: skip
    (result,) = run_lava([LavaNetwork((cells,), ())], 3, floating=True)
    np.testing.assert_allclose(result.u[0][:, 0], [4.0, 2.0, 1.0])
    np.testing.assert_allclose(result.v[0], [[5.0, 2.0], [6.75, 3.5], [7.0625, 4.625]])


def test_what_lava_cannot_do_is_refused():
    """It rounds by connection process and delay; a bias is a mantissa and an exponent."""
    net = sim.Network()
    cells = net.population("cells", 2, sim.LoihiLIF(receptors={"r": sim.ShiftedSum(exponent=-2)}))
    net.project(cells, cells, sim.AllToAll(), weight=2.0, delay=np.array([1.0, 2.0, 3.0, 4.0]))
    with pytest.raises(UnsupportedError, match=r"cells\.r: with its negative exponent -2 Lava rounds the sum of each source and delay"):
        lava_form(circuit_of(net), 5)
    net = sim.Network()
    cells = net.population("cells", 2, sim.LoihiLIF(receptors={"r": sim.ShiftedSum(exponent=-1)}))
    net.project(cells, cells, sim.PairList([0, 0], [1, 1]), weight=3.0, delay=1.0)
    with pytest.raises(UnsupportedError, match=r"cells\.r: with its negative exponent -1 Lava rounds two synapses of one pair"):
        lava_form(circuit_of(net), 5)
    net = sim.Network()
    net.population("cells", 2, sim.LoihiLIF())
    image = map_to(net, "loihi1", compare=False)
    with pytest.raises(UnsupportedError, match=r"bias: 4097 is not a mantissa of 13 bits"):
        image.run(5, currents={"cells": np.array([4097, 0])}, backend="lava")
