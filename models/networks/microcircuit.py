"""The cortical microcircuit of Potjans and Diesmann (2014): 77,169 neurons under 1 mm2 of early sensory cortex.

Potjans TC, Diesmann M (2014) The cell-type specific cortical microcircuit: relating structure and activity in a
full-scale spiking network model. Cereb Cortex 24:785-806. Tables 1, 4 and 5 there; initial potentials and the reference
rates as in the implementation that NEST ships.
"""

import math

import numpy as np

import spikesim as sim

POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
PROBABILITIES = np.array([  # row: target, column: source
    [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0000, 0.0076, 0.0000],
    [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0000, 0.0042, 0.0000],
    [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0000],
    [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0000, 0.1057, 0.0000],
    [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0000],
    [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0000],
    [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
    [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
])  # fmt: skip
EXTERNAL = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)  # synapses from outside
EXTERNAL_RATE = 8.0  # Hz, of each of them
WEIGHT, INHIBITION, WEIGHT_SD = 87.81, -4.0, 0.1  # pA, which is a PSP of 0.15 mV; relative strength; relative deviation
DELAYS = {"E": (1.5, 0.75), "I": (0.75, 0.375)}  # ms: mean and deviation, by the kind of source
INITIAL = ((-68.28, 5.36), (-63.16, 4.57), (-63.33, 4.74), (-63.45, 4.94), (-63.11, 4.94), (-61.66, 4.55), (-66.72, 5.46), (-61.43, 4.48))
RATES = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)  # Hz, of the full circuit


def synapse_number(probability: float, sources: int, targets: int) -> int:
    """The number of synapses at which a pair is connected at least once with the given probability."""
    return round(math.log(1.0 - probability) / math.log(1.0 - 1.0 / (sources * targets))) if probability else 0


def mean_weight(source: int, target: int) -> float:
    """The mean weight (pA) in the full circuit; synapses from L4E to L23E are twice as strong."""
    return WEIGHT * (INHIBITION if POPULATIONS[source][-1] == "I" else 2.0 if (source, target) == (2, 0) else 1.0)


def microcircuit(*, scale: float = 1.0, record: bool = True) -> sim.Network:
    """The circuit with Poisson drive; ``scale`` shrinks the numbers of neurons and of synapses of each neuron alike.

    Weights grow by 1 / sqrt(scale) and a constant current makes up for the lost mean input, so that mean and variance of
    the input are kept at the full circuit's rates (van Albada et al. 2015).
    """
    net = sim.Network()
    sizes = [round(size * scale) for size in SIZES]
    for name, size, initial, current in zip(POPULATIONS, sizes, INITIAL, _missing_current(scale), strict=True):
        model = sim.LIF(tau_m=10.0, c_m=250.0, v_rest=-65.0, v_reset=-65.0, v_threshold=-50.0, t_ref=2.0, i_e=current,
                        receptors={"input": sim.ExponentialCurrent(tau=0.5)})  # fmt: skip
        net.population(name, size, model, initial={"v": sim.Normal(*initial)})
    for target, row in enumerate(PROBABILITIES):
        for source, probability in enumerate(row):
            number = round(synapse_number(probability, SIZES[source], SIZES[target]) * scale**2)
            if number:
                _connect(net, source, target, number, mean_weight(source, target) / math.sqrt(scale))
    for name, synapses in zip(POPULATIONS, EXTERNAL, strict=True):
        net.stimulate(net.populations[name], sim.PoissonDrive(synapses * scale * EXTERNAL_RATE, WEIGHT / math.sqrt(scale), "input"))
        if record:
            net.record(net.populations[name], "spikes")
    return net


def _connect(net: sim.Network, source: int, target: int, number: int, mean: float) -> None:
    """All synapses of one pair of populations."""
    kind = POPULATIONS[source][-1]
    bounds = {"high": 0.0} if kind == "I" else {"low": 0.0}
    delay, deviation = DELAYS[kind]
    net.project(net.populations[POPULATIONS[source]], net.populations[POPULATIONS[target]], sim.FixedTotalNumber(number),
                weight=sim.ClippedNormal(mean, abs(mean) * WEIGHT_SD, **bounds),
                delay=sim.ClippedNormal(delay, deviation, low=0.1), receptor="input")  # fmt: skip


def _missing_current(scale: float) -> list[float]:
    """For each population the current (pA) that replaces the input lost by scaling."""
    tau = 0.5e-3  # s, of the synaptic current
    currents = []
    for target in range(len(SIZES)):
        lost = WEIGHT * EXTERNAL[target] * EXTERNAL_RATE
        for source, rate in enumerate(RATES):
            number = synapse_number(PROBABILITIES[target, source], SIZES[source], SIZES[target])
            lost += mean_weight(source, target) * rate * number / SIZES[target]
        currents.append((1.0 - math.sqrt(scale)) * tau * lost)
    return currents
