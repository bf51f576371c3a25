"""The neuron's step against the equation, in every mode and under every rule."""

from itertools import product

import numpy as np
import pytest
from numba import njit

from spikesim.hardware.truenorth.neuron import drawn, place, random_byte, random_half, step
from spikesim.neurons.truenorth import CHOICES, Rules, truenorth_step
from spikesim.random import words
from tests.hardware.truenorth_equation import neuron_step

DISPUTED = ("leak_sign", "order", "zero_crossing", "floor", "noise", "overflow")
ALL_RULES = [dict(zip(DISPUTED, values, strict=True)) for values in product(*(CHOICES[name] for name in DISPUTED))]
STEPS = 10_000_000 // len(ALL_RULES) + 1


@njit
def many(step, v, jump, leak, reversal, noise, alpha, beta, v_reset, mode, saturates, rules, zero, out, fired, lost):
    for k in range(len(v)):
        out[k], lost[k], fired[k] = step(v[k], zero, zero, jump[k], zero, zero, zero, leak[k], reversal[k], noise[k], alpha[k], beta[k],
                                         v_reset[k], mode[k], saturates[k], *rules)  # fmt: skip


def spread(rng, low, high, near, size):
    """Whole numbers of all sizes: extremes, values around ``near``, and anything between."""
    kinds = rng.integers(0, 4, size)
    wide = rng.integers(low, high + 1, size)
    small = np.clip(np.asarray(near) + rng.integers(-3, 4, size), low, high)
    edge = np.where(rng.random(size) < 0.5, low, high)
    return np.choose(kinds, [wide, small, edge, np.clip(rng.integers(-300, 300, size), low, high)])


def random_steps(rng, size):
    alpha, beta = spread(rng, 0, 2**18 - 1, 100, size), spread(rng, 0, 2**18 - 1, 100, size)
    near = np.where(rng.random(size) < 0.5, alpha, -beta)
    given = {
        "v": spread(rng, -(2**19), 2**19 - 1, near, size), "synapses": spread(rng, -65280, 65280, 0, size),
        "lam": spread(rng, -255, 255, 0, size), "eps": rng.integers(0, 2, size), "eta": spread(rng, 0, 255, 0, size),
        "alpha": alpha, "beta": beta, "r": spread(rng, -(2**19) + 1, 2**19 - 1, 0, size), "gamma": rng.integers(0, 3, size),
        "kappa": rng.integers(0, 2, size),
    }  # fmt: skip
    given["v"] = np.where(rng.random(size) < 0.3, np.clip(near - given["synapses"] - given["lam"], -(2**19), 2**19 - 1), given["v"])
    return given


@pytest.mark.parametrize("choice", ALL_RULES, ids=lambda choice: "-".join(choice.values()))
def test_step_is_the_equation(choice):
    """Ten million random steps over all rules and modes; float32 holds every number on the way."""
    rules = Rules(**choice)
    given = random_steps(np.random.default_rng(ALL_RULES.index(choice)), STEPS)
    if choice["overflow"] == "fire":
        given["v"] = np.clip(given["v"], -393216, 393216)
    expected, spikes = neuron_step(**given, rules=rules)
    sign = -1 if rules.leak_sign == "minus" else 1
    columns = [
        given["v"],
        given["synapses"],
        sign * given["lam"],
        *(given[k] for k in ("eps", "eta", "alpha", "beta", "r", "gamma", "kappa")),
    ]
    columns = [column.astype(np.float32) for column in columns]
    out, lost, fired = np.empty(STEPS, np.float32), np.empty(STEPS, np.float32), np.empty(STEPS, bool)
    coefficients = tuple(np.float32(value) for value in rules.coefficients().values())
    many(step, *columns, coefficients, np.float32(0), out, fired, lost)
    assert np.array_equal(out, expected) and np.array_equal(fired, spikes)
    assert 0.01 < spikes.mean() < 0.99 and (lost > 0).any()


def test_step_in_python_numbers():
    """The scalar step as it stands in the source, on Python's integers."""
    given = random_steps(np.random.default_rng(5), 3000)
    expected, spikes = neuron_step(**given, rules=Rules())
    rules = [int(value) for value in Rules().coefficients().values()]
    rows = zip(*(given[k].tolist() for k in given), strict=True)
    found = [truenorth_step(v, 0, 0, s, 0, 0, 0, lam, e, eta, a, b, r, g, k, *rules) for v, s, lam, e, eta, a, b, r, g, k in rows]
    assert [row[0] for row in found] == expected.tolist() and [row[2] for row in found] == spikes.tolist()
    assert all(type(row[0]) is int for row in found)


@pytest.mark.parametrize("value", [-255, -128, -1, 0, 1, 7, 255])
def test_stochastic_form(value):
    """|s| + 1 of the 256 bytes give the sign of s, and none does for s = 0."""
    found = [drawn(value, byte) for byte in range(256)]
    assert found == [int(np.sign(value)) * (abs(value) >= byte) for byte in range(256)]
    assert np.abs(found).sum() == (abs(value) + 1 if value else 0)


def test_random_numbers_are_those_documented():
    seed, x, y, row, tick = np.uint64(2**63 + 5), 63, 127, 200, 1234
    first = place(x, y, row)
    assert int(first) == (y * 65536 + x) * 2**24 + row * 256
    for neuron in (0, 5, 15, 16, 200, 255):
        block = words(seed, np.uint64(0x54 << 24), np.uint64(int(first) + neuron // 16), np.uint64(tick))
        every = np.array(block, np.uint64).astype("<u4").view(np.uint8)
        assert random_byte(seed, first, neuron, tick) == every[neuron % 16]
        block = words(seed, np.uint64(0x54 << 24), np.uint64(int(first) + neuron // 8), np.uint64(tick))
        assert random_half(seed, first, neuron, tick) == np.array(block, np.uint64).astype("<u4").view("<u2")[neuron % 8]


def test_random_bytes_are_uniform():
    drawn_bytes = [random_byte(np.uint64(3), place(1, 2, 7), j, t) for j in range(256) for t in range(200)]
    counts = np.bincount(drawn_bytes, minlength=256)
    assert len(counts) == 256 and ((counts - 200.0) ** 2 / 200.0).sum() < 350  # chi squared, 255 degrees: p about 1e-4
