"""Each corelet against its specification in numpy, on an engine and mapped onto the chip."""

import numpy as np
import pytest

import spikesim as sim
from spikesim.errors import DescriptionError, KindError, NameUnknownError
from spikesim.hardware import map_to
from spikesim.hardware.truenorth import corelets

TICKS = 60
RNG = np.random.default_rng


def run(build, spikes, *outputs):
    """Spikes bool (ticks, size) of each output, the same on the engine and on the emulator; build(net) gives a corelet."""
    net = sim.Network()
    corelet = build(net)
    if spikes is not None:
        tick, line = np.nonzero(spikes)
        shape = spikes.shape[1]
        source = net.population("source", shape, sim.SpikeTrains(tick + 1.0, line))
        corelets.connect(net, source, corelet.input("in"), delay=0)
    found = []
    for name in outputs:
        net.record(corelet.output(name))
    engine = sim.Simulation(net, dt=1.0).run(TICKS, progress=False)
    chip = map_to(net, "truenorth").run(steps=TICKS)
    for name in outputs:
        population = corelet.output(name)
        rasters = []
        for recording in (engine, chip):
            rasters.append(np.zeros((TICKS, len(population)), int))
            rasters[-1][recording.spikes[population.name].times.astype(int) - 1, recording.spikes[population.name].ids] = 1
        assert np.array_equal(*rasters)
        found.append(rasters[0])
    return found


def noise(size, share=0.3, seed=0):
    return RNG(seed).random((TICKS, size)) < share


def fired(drive, threshold):
    """What neurons with soft reset fire to the summed input ``drive`` (ticks, neurons)."""
    v, out = np.zeros(drive.shape[1], int), np.zeros(drive.shape, int)
    for t in range(len(drive)):
        v += drive[t]
        out[t] = v >= threshold
        v -= threshold * out[t]
    return out


def test_splitter():
    spikes = noise(7)
    for branch in run(lambda net: corelets.splitter(net, "s", 7, 3), spikes, "0", "1", "2"):
        assert np.array_equal(branch, spikes)


@pytest.mark.parametrize("ticks", [1, 15, 16, 40])
def test_delay_line(ticks):
    spikes = noise(4)
    (out,) = run(lambda net: corelets.delay_line(net, "d", 4, ticks), spikes, "out")
    assert np.array_equal(out[ticks:], spikes[:-ticks]) and not out[:ticks].any()


def test_weighted_sum():
    weights = RNG(1).integers(-60, 400, (12, 5))
    spikes = noise(12, 0.1)
    (out,) = run(lambda net: corelets.weighted_sum(net, "w", weights, threshold=1000), spikes, "out")
    drive = spikes.astype(int) @ weights
    assert np.array_equal(out, fired(drive, 1000)) and out.sum() > 10
    assert np.array_equal(out.sum(axis=0), drive.sum(axis=0) // 1000)


def test_weighted_sum_as_a_gate():
    weights = RNG(1).integers(-3, 4, (10, 5))
    spikes = noise(10)
    (out,) = run(lambda net: corelets.weighted_sum(net, "w", weights, threshold=2, reset="value", floor=0), spikes, "out")
    memory = np.zeros(5, int)
    for t in range(TICKS):  # what stays below the threshold is kept, what falls below 0 is not
        memory = np.maximum(memory + spikes[t].astype(int) @ weights, 0)
        assert np.array_equal(out[t], memory >= 2)
        memory[memory >= 2] = 0


def test_maximum():
    spikes = noise(2 * 6 * 6, 0.15)
    (out,) = run(lambda net: corelets.maximum(net, "m", (2, 6, 6), 2), spikes, "out")
    windows = spikes.reshape(TICKS, 2, 3, 2, 3, 2).max(axis=(3, 5))
    assert np.array_equal(out, windows.reshape(TICKS, -1))


def test_average():
    spikes = noise(2 * 6 * 6)
    (out,) = run(lambda net: corelets.average(net, "a", (2, 6, 6), 3), spikes, "out")
    windows = spikes.reshape(TICKS, 2, 2, 3, 2, 3).sum(axis=(3, 5)).reshape(TICKS, -1)
    assert np.array_equal(out.sum(axis=0), windows.sum(axis=0) // 9) and np.array_equal(out, fired(windows, 9))


def test_winner_take_all():
    """The line with the shortest interval wins every race."""
    ticks = np.arange(TICKS)[:, None]
    spikes = ticks % np.array([5, 3, 2, 4]) == 0
    (out,) = run(lambda net: corelets.winner_take_all(net, "w", 4, threshold=4), spikes, "out")
    assert out[:, 2].sum() >= 6 and out[:, [0, 1, 3]].sum() == 0
    (tie,) = run(lambda net: corelets.winner_take_all(net, "w", 4, threshold=4), np.repeat(spikes[:, 2:3], 4, axis=1), "out")
    assert (tie == tie[:, :1]).all() and tie.any()


def test_filter_bank():
    taps = RNG(2).integers(-2, 3, (3, 4, 5))
    spikes = noise(4, 0.1)
    positive, negative = run(lambda net: corelets.filter_bank(net, "f", taps, threshold=3), spikes, "positive", "negative")
    y = sum(np.vstack([np.zeros((k, 4), int), spikes[: TICKS - k].astype(int)]) @ taps[:, :, k].T for k in range(5))
    difference = (positive - negative).cumsum(axis=0)
    assert positive.any() and negative.any()
    assert np.abs(difference - y.cumsum(axis=0) / 3).max() <= 4  # the other side hears of a spike one tick later
    v = np.zeros((2, 3), int)
    before = np.zeros((2, 3), int)
    for t in range(TICKS):
        v += np.array([y[t], -y[t]]) + 3 * before[::-1]
        now = (v >= 3).astype(int)
        assert np.array_equal(now, [positive[t], negative[t]])
        v -= 3 * now
        before = now


def test_convolution():
    kernels = RNG(3).integers(-2, 4, (3, 1, 3, 3))
    spikes = noise(64, 0.15)
    (out,) = run(lambda net: corelets.convolution(net, "c", (1, 8, 8), kernels, threshold=4, stride=2, padding=1), spikes, "out")
    padded = np.pad(spikes.reshape(TICKS, 8, 8).astype(int), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
    drive = np.einsum("tijkl,okl->toij", windows, kernels[:, 0]).reshape(TICKS, -1)
    assert np.array_equal(out, fired(drive, 4)) and out.sum() > 50


def test_oscillator():
    periods, phases = np.array([1, 2, 7, 25]), np.array([0, 1, 3, 24])
    (out,) = run(lambda net: corelets.oscillator(net, "o", periods, phases), None, "out")
    assert np.array_equal(out, np.arange(TICKS)[:, None] % periods == phases)


def test_they_compose():
    """An oscillator through a delay line into a splitter, into a maximum: each by its connectors."""
    net = sim.Network()
    clock = corelets.oscillator(net, "clock", [6, 6, 6, 9])
    late = corelets.delay_line(net, "late", 4, 20)
    best = corelets.maximum(net, "best", (1, 2, 2), 2)
    corelets.connect(net, clock.output("out"), late.input("in"), delay=2)
    corelets.connect(net, late.output("out"), best.input("in"), delay=3)
    net.record(best.output("out"))
    times = map_to(net, "truenorth").run(steps=100).spikes["best.pool"].times - 1
    assert np.array_equal(times, [t for t in range(25, 100) if (t - 25) % 6 == 0 or (t - 25) % 9 == 0])


def test_bad_connections():
    net = sim.Network()
    clock = corelets.oscillator(net, "clock", [6, 6])
    late = corelets.delay_line(net, "late", 3, 2)
    with pytest.raises(DescriptionError, match="has 3 lines, the source has 2"):
        corelets.connect(net, clock.output("out"), late.input("in"))
    with pytest.raises(NameUnknownError, match="corelet 'late': unknown input 'on'; known: in"):
        late.input("on")
    with pytest.raises(NameUnknownError, match="unknown output 'in'"):
        late.output("in")
    with pytest.raises(KindError, match="expected the input of a corelet"):
        corelets.connect(net, clock.output("out"), late)
