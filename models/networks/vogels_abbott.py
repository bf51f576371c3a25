"""The balanced networks of Vogels and Abbott (2005), in the form of the simulator review of Brette et al. (2007).

Vogels TP, Abbott LF (2005) Signal propagation and logic gating in networks of integrate-and-fire neurons.
J Neurosci 25:10786-95. Brette R et al. (2007) Simulation of networks of spiking neurons: a review of tools and
strategies. J Comput Neurosci 23:349-98, benchmarks 1 (COBA) and 2 (CUBA).

4,000 neurons, four fifths of them excitatory, are connected with 2 % probability and fire irregularly without noise.
"""

import spikesim as sim


def cuba(*, neurons: int = 4000, synapses: float = 80.0, record: bool = True) -> sim.Network:
    """Benchmark 2: current-based synapses of +16.2 pA (5 ms) and -90 pA (10 ms), that is +1.62 and -9 mV.

    synapses: expected number a neuron receives; the weights shrink as it grows.
    """
    model = sim.LIF(tau_m=20.0, c_m=200.0, v_rest=-49.0, v_reset=-60.0, v_threshold=-50.0, t_ref=5.0,
                    receptors={"exc": sim.ExponentialCurrent(tau=5.0), "inh": sim.ExponentialCurrent(tau=10.0)})  # fmt: skip
    return _balanced(model, neurons, synapses, weights=(16.2, -90.0), record=record)


def coba(*, neurons: int = 4000, synapses: float = 80.0, i_e: float = 200.0, record: bool = True) -> sim.Network:
    """Benchmark 1: conductance-based synapses of 6 nS (5 ms, 0 mV) and 67 nS (10 ms, -80 mV).

    i_e: a constant current (pA) that keeps the network active; Brette et al. start it with a kick instead.
    """
    model = sim.LIF(tau_m=20.0, c_m=200.0, v_rest=-60.0, v_reset=-60.0, v_threshold=-50.0, t_ref=5.0, i_e=i_e,
                    receptors={"exc": sim.ExponentialConductance(tau=5.0, reversal=0.0),
                               "inh": sim.ExponentialConductance(tau=10.0, reversal=-80.0)})  # fmt: skip
    return _balanced(model, neurons, synapses, weights=(6.0, 67.0), record=record)


def _balanced(model: sim.LIF, neurons: int, synapses: float, *, weights: tuple[float, float], record: bool) -> sim.Network:
    net = sim.Network()
    scale = 80.0 / synapses
    exc = net.population("exc", neurons * 4 // 5, model, initial={"v": sim.Uniform(-60.0, -50.0)})
    inh = net.population("inh", neurons - len(exc), model, initial={"v": sim.Uniform(-60.0, -50.0)})
    for source, receptor, weight in ((exc, "exc", weights[0]), (inh, "inh", weights[1])):
        net.project(source, [exc, inh], sim.FixedProbability(synapses / neurons), weight=weight * scale, delay=0.1, receptor=receptor)
    for population in (exc, inh) if record else ():
        net.record(population, "spikes")
    return net
