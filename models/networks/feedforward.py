"""A feed-forward classifier's shape, 784-1024-1024-10, driven by noise: all-to-all layers, as trained networks have them.

Not a published model but a load: what one sample (100 steps of 1 ms) of an image of 28 x 28 pixels costs when few neurons
fire. Each of the 784 inputs fires with probability ``activity`` in a step; the neurons are

    tau_m dV/dt = -V,  V jumps by the weight 1 ms after a spike,  V >= 1 fires and resets to 0, without refractoriness

Weights are normal with deviation gain / sqrt(sources), and those onto one neuron sum to zero, so that fluctuations make it
fire. At activity 0.1 neurons of the three layers fire in a share 0.071, 0.035 and 0.013 of the steps. The delay is one
step, for every simulator can do that; so each layer works on what the one below did in the step before.
"""

from itertools import pairwise

import numpy as np

import spikesim as sim

SIZES = (784, 1024, 1024, 10)
NAMES = ("input", "hidden1", "hidden2", "output")
GAINS = (2.8, 1.6, 1.4)  # of the weights onto each layer, found by trying
TAU_M, THRESHOLD, RESET = 10.0, 1.0, 0.0  # ms, mV, mV
STEP, SAMPLE = 1.0, 100.0  # ms: the time step, and what one sample takes


def weights(seed: int) -> list[np.ndarray]:
    """The weights (mV) between successive layers, float64 (sources, targets), the same on every machine."""
    rng = np.random.default_rng(seed)
    sides = zip(GAINS, pairwise(SIZES), strict=True)
    drawn = [rng.normal(0.0, gain / np.sqrt(sources), (sources, targets)) for gain, (sources, targets) in sides]
    return [matrix - matrix.mean(axis=0) for matrix in drawn]


def feedforward(*, activity: float = 0.1, seed: int = 0, record: bool = True) -> sim.Network:
    """The layers and their input, for a time step of 1 ms.

    activity: probability with which an input fires in a step, 0 to 1. seed: of the weights. record: record all spikes.
    """
    net = sim.Network()
    model = sim.LIF(tau_m=TAU_M, v_rest=0.0, v_reset=RESET, v_threshold=THRESHOLD, t_ref=0.0, receptors={"jump": sim.Delta()})
    source = sim.Poisson(rate=1e3 * activity / STEP)
    layers = [net.population(name, size, source if name == "input" else model) for name, size in zip(NAMES, SIZES, strict=True)]
    for (lower, upper), matrix in zip(pairwise(layers), weights(seed), strict=True):
        net.project(lower, upper, sim.Dense(matrix), delay=STEP)
    for layer in layers if record else ():
        net.record(layer, "spikes")
    return net
