"""The neuron of Cassidy et al. (2013) written down again in whole numbers, line by line after the paper, for the tests."""

import numpy as np


def fit(v, rules):
    """The potential as its register holds it."""
    if rules.overflow == "wrap":
        return (v + 2**19) % 2**20 - 2**19
    top = 393216 if rules.overflow == "fire" else 2**19 - 1
    return np.clip(v, -393216 if rules.overflow == "fire" else -(2**19), top)


def leak_step(v, lam, eps, rules):
    omega = np.where(eps == 1, np.sign(v), 1)  # Omega = (1 - eps) + eps sgn(V)
    after = v + omega * (-lam if rules.leak_sign == "minus" else lam)
    if rules.zero_crossing == "stops":
        after = np.where((eps == 1) & (np.sign(after) == -np.sign(v)), 0, after)
    return fit(after, rules)


def neuron_step(v, synapses, lam, eps, eta, alpha, beta, r, gamma, kappa, rules):
    """V and the spike after a tick; ``lam`` and ``eta`` as drawn, everything int64."""
    if rules.order == "leak_first":
        v = fit(leak_step(v, lam, eps, rules) + synapses, rules)
    else:
        v = leak_step(fit(v + synapses, rules), lam, eps, rules)
    if rules.noise == "potential":
        v, eta = fit(v + eta, rules), np.zeros_like(eta)
    spike = v >= alpha + eta
    if rules.overflow == "fire":
        spike = spike | (v == 393216)
    floor = -(beta * kappa + (beta + eta) * (1 - kappa))
    low = ~spike & ((v <= floor) if rules.floor == "at" else (v < floor))
    up = np.choose(gamma, [r, v - (alpha + eta), v])
    down = np.where(kappa == 1, -beta, np.choose(gamma, [-r, v + (beta + eta), v]))
    return np.where(spike, up, np.where(low, down, v)), spike
