"""Quantising: decays, thresholds, drift and weights are near, the report is right, spikes stay, and the impossible is refused."""

import numpy as np
import pytest

import spikesim as sim
from spikesim.errors import DescriptionError, KindError, UnsupportedError
from spikesim.hardware import map_to
from spikesim.hardware.fixed_weights import fixed
from spikesim.hardware.loihi.weights import bits_of, sign_mode, stored
from spikesim.hardware.quantization import mantissa
from spikesim.hardware.quantize import quantize


def lif(**changes):
    values = {"tau_m": 20.0, "c_m": 200.0, "v_rest": -60.0, "v_reset": -60.0, "v_threshold": -50.0, "t_ref": 2.0, "i_e": 0.0}
    return sim.LIF(**values | {"receptors": {"in": sim.ExponentialCurrent(tau=5.0)}} | changes)


def driven(model, weight=60.0, delay=1.0, rate=80.0, size=50):
    """Poisson inputs onto a population, with weights of both signs."""
    rng = np.random.default_rng(0)
    net = sim.Network()
    source = net.population("in", 40, sim.Poisson(rate=rate))
    cells = net.population("cells", size, model)
    net.project(source, cells, sim.Dense(weight * rng.normal(1.0, 0.5, (40, size))), delay=delay, receptor=next(iter(model.receptors)))
    net.record(cells)
    return net


@pytest.mark.parametrize(("model", "weight", "dt"), [
    (lif(), 20.0, 0.5),
    (lif(receptors={"in": sim.Delta()}), 0.6, 1.0),
    (lif(tau_m=sim.Uniform(15.0, 30.0), v_threshold=sim.Uniform(-52.0, -48.0), i_e=sim.Uniform(20.0, 60.0)), 20.0, 0.5),
    (sim.IF(v_threshold=np.linspace(8.0, 12.0, 50), reset="value", t_ref=1.0), 0.5, 1.0),
    (sim.IF(v_threshold=10.0, i_e=0.2), 0.5, 1.0),
])  # fmt: skip
def test_spikes_stay(model, weight, dt):
    """Without recurrence (and so without chaos) most spikes are the same ones, and counts agree within a few percent."""
    done = quantize(driven(model, weight=weight), dt=dt, duration=300.0, seed=4)
    effect = done.report.effect["cells"]
    assert effect.float_spikes > 300
    assert effect.integer_spikes == pytest.approx(effect.float_spikes, rel=0.04)
    assert effect.same > 0.4
    assert effect.correlation > 0.95
    error = done.report.populations["cells"]
    assert max(error.decay_v, error.decay_u, error.bias) < 0.02
    assert done.report.projections["in->cells"].rms < 0.02
    assert f"{effect.integer_spikes:,}" in str(done.report)


def test_fewer_bits_are_worse():
    net = driven(lif(), weight=20.0)
    errors = [quantize(net, dt=1.0, bits=bits).report.projections["in->cells"].rms for bits in (1, 2, 4, 6, 8)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01 < 0.05 < errors[1]
    only = quantize(net, dt=1.0, bits={"in->cells": 3}).report.projections["in->cells"]
    assert only.bits == 3


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("sign", [0, 1, -1])
def test_fixed_weights_are_what_the_chip_stores(bits, sign):
    """They survive Lava's cutting, fit into their bits, and none is further off than half a quantum."""
    rng = np.random.default_rng(bits)
    for size in (1e-3, 1.0, 300.0):
        values = rng.normal(0.0, size, 200)
        values = values if sign == 0 else sign * np.abs(values)
        whole, exponent = fixed(values, bits)
        np.testing.assert_array_equal(stored(whole, bits=bits, mode=sign_mode(values)), whole)
        assert bits_of(whole) <= bits + (sign == 0)
        quantum = 2.0**exponent * 2 ** (8 - bits + (sign == 0))
        near = np.abs(values) < 2.0**exponent * (255 - 2 ** (9 - bits))
        assert np.all(np.abs(whole * 2.0**exponent - values)[near] <= 0.5 * quantum + 1e-12)


def test_mantissas():
    values = np.array([0.0, 3.4, -4096.0, 4095.0, 5000.0, -123456.0, 524160.0, 1e9])
    mant, exponent = mantissa(values)
    assert np.all((mant >= -4096) & (mant <= 4095) & (exponent >= 0) & (exponent <= 7))
    np.testing.assert_allclose((mant * 2.0**exponent)[:-1], values[:-1], rtol=2e-3, atol=0.5)
    assert mant[-1] * 2 ** exponent[-1] == 4095 * 128


def test_constructions_are_named():
    """Soft resets, missing delays, Poisson drives and neurons without threshold are done in a published or stated way."""
    net = sim.Network()
    first = net.population("first", 4, sim.IF(v_threshold=1.0, i_e=0.3))
    last = net.population("last", 2, sim.IF(v_threshold=np.inf))
    net.project(first, last, sim.Dense(np.ones((4, 2))), delay=0.0)
    net.stimulate(first, sim.PoissonDrive(rate=100.0, weight=0.5, receptor="input"))
    done = quantize(net)
    text = "\n".join(done.report.constructions)
    for part in ("first: soft reset, two compartments a neuron (Rueckauer et al. 2021)", "last: never fires",
                 "first->last: without delay", "a Poisson input for each neuron"):  # fmt: skip
        assert part in text
    image = map_to(done.network, "loihi1", compare=False)
    assert image.report.use.compartments.sum() == 2 * 4 + 2


def test_mapped_currents_and_potentials():
    """A current given as integers moves the potential as it does in the float network."""
    net = sim.Network()
    cells = net.population("cells", 3, sim.IF(v_threshold=1.0))
    net.stimulate(cells, sim.DirectCurrent(np.zeros(3)))
    net.record(cells, "v")
    net.record(cells, "counts")
    done = quantize(net)
    amplitude = np.array([[0.3, 0.07, -0.2]])
    image = map_to(done.network, "loihi1", compare=False)
    found = image.run(20, currents={"cells": done.currents("cells", amplitude)[0]})
    (wanted,) = sim.Simulation(net, dt=1.0, precision="float64", progress=False).trials(20.0, currents={"cells": amplitude}, progress=False)
    np.testing.assert_array_equal(found.counts["cells"].values, wanted.counts["cells"].values)
    np.testing.assert_allclose(done.potential("cells", found.trace("cells", "v").values), wanted.trace("cells", "v").values, atol=0.02)


def conducting():
    return driven(lif(receptors={"in": sim.ExponentialConductance(tau=5.0)}))


def two_kinetics():
    net = driven(lif(receptors={"a": sim.ExponentialCurrent(tau=5.0), "b": sim.ExponentialCurrent(tau=2.0)}))
    net.project(net.populations["in"], net.populations["cells"], sim.Dense(np.ones((40, 50))), delay=1.0, receptor="b")
    return net


def noisy():
    net = driven(lif())
    net.stimulate(net.populations["cells"], sim.NoiseCurrent(sd=1.0, interval=1.0))
    return net


@pytest.mark.parametrize(("make", "options", "error", "message"), [
    (conducting, {}, UnsupportedError, r"population 'cells': receptor 'in': the chip has no ExponentialConductance"),
    (two_kinetics, {}, UnsupportedError, r"a neuron of the chip has one synaptic current, its receptors a, b differ"),
    (lambda: driven(lif(receptors={"in": sim.AlphaCurrent(tau=2.0)})), {}, UnsupportedError, r"the chip has no AlphaCurrent"),
    (lambda: driven(lif(v_reset=-65.0)), {}, UnsupportedError, r"v_reset differs from v_rest"),
    (lambda: driven(lif(), delay=70.0), {}, UnsupportedError, r"a delay of 71 steps, the chip has 63"),
    (noisy, {}, UnsupportedError, r"the chip takes no NoiseCurrent"),
    (lambda: driven(lif()), {"bits": 9}, DescriptionError, r"bits of projection 'in->cells': expected 1 to 8, got 9"),
    (lambda: driven(lif()), {"bits": True}, DescriptionError, r"expected 1 to 8, got True"),
    (lambda: driven(lif()), {"dt": 0.0}, DescriptionError, r"quantize: dt: expected more than 0"),
    (lambda: driven(lif()), {"dt": "1"}, KindError, r"quantize: dt"),
    (lambda: driven(lif(), delay=1.5), {"dt": 1.0}, DescriptionError, r"in->cells': delay: 1\.5 ms is not a multiple"),
    (lambda: driven(lif(t_ref=2.5)), {}, DescriptionError, r"t_ref: 2\.5 ms is not a multiple"),
])  # fmt: skip
def test_what_cannot_be_quantised(make, options, error, message):
    with pytest.raises(error, match=message):
        quantize(make(), **{"dt": 1.0} | options)


def test_sizes_of_spikes_are_kept():
    """They multiply the whole weights as they do the real ones, and take from the headroom."""
    found = {}
    for sizes in (None, [1, 3, -2]):
        net = sim.Network()
        source = net.population("in", 3, sim.SpikeTrains([0.5, 1.0, 2.0], [0, 1, 2], sizes))
        cells = net.population("cells", 2, lif())
        net.project(source, cells, sim.Dense([[9.0, 8.0], [7.0, 6.0], [5.0, 4.0]]), delay=1.0)
        net.record(cells)
        found[sizes is None] = quantize(net, dt=0.5)
    assert found[False].network.populations["in"].model == sim.SpikeTrains([1.0, 2.0, 4.0], [0, 1, 2], [1, 3, -2])
    roomy, tight = (found[key].report.populations["cells"].headroom for key in (True, False))
    assert tight < roomy
