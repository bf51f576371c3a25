"""Exact propagators of linear sub-threshold dynamics over one step (Rotter & Diesmann 1999).

For C dV/dt = -C a V + I(t) with leak rate a = 1/tau_m, each function gives the number by which a state at the
start of a step of length h enters V at its end. All take arrays, stay accurate where two time constants meet,
and hold for a = 0 (a perfect integrator).
"""

import math

import numpy as np


def decay(h: float, tau):
    """exp(-h / tau)."""
    return np.exp(-h / np.asarray(tau))


def constant_current(h: float, leak_rate, c_m):
    """V (mV) per constant current (pA): (1 - exp(-a h)) / (a C)."""
    return h * _phi(-h * np.asarray(leak_rate)) / c_m


def exponential_current(h: float, tau, leak_rate, c_m):
    """V per initial current of I(s) = I0 exp(-s / tau)."""
    rate, leak_rate = 1.0 / np.asarray(tau), np.asarray(leak_rate)
    # symmetric in the two rates; with the slower one outside nothing overflows
    return h * np.exp(-h * np.minimum(rate, leak_rate)) * _phi(-h * np.abs(rate - leak_rate)) / c_m


def alpha_current(h: float, tau, leak_rate, c_m):
    """V per initial slope (pA/ms) of I(s) = z0 s exp(-s / tau)."""
    rate, leak_rate = 1.0 / np.asarray(tau), np.asarray(leak_rate)
    x = h * np.abs(rate - leak_rate)
    moment = np.where(rate >= leak_rate, _first_moment(x), _phi(-x) - _first_moment(x))
    return h * h * np.exp(-h * np.minimum(rate, leak_rate)) * moment / c_m


def _phi(x):
    """(exp(x) - 1) / x, and 1 at 0."""
    x = np.asarray(x, np.float64)
    safe = np.where(x == 0.0, 1.0, x)
    return np.where(x == 0.0, 1.0, np.expm1(safe) / safe)


def _first_moment(x):
    """The integral of s exp(-x s) over [0, 1], for x >= 0."""
    x = np.asarray(x, np.float64)
    small, large = np.minimum(x, 1.0), np.maximum(x, 1.0)
    series = sum((-small) ** n / (math.factorial(n) * (n + 2)) for n in range(18))
    return np.where(x < 1.0, series, (1.0 - np.exp(-large) * (1.0 + large)) / large**2)
