"""The sparsely connected network of Brunel (2000), model A: excitatory and inhibitory neurons alike, delta synapses.

Brunel N (2000) Dynamics of sparsely connected networks of excitatory and inhibitory spiking neurons.
J Comput Neurosci 8:183-208.

    tau_m dV/dt = -V,  V jumps by J (excitatory) or -g J (inhibitory) 1.5 ms after each spike

A neuron fires at theta = 20 mV and is then held at 10 mV for 2 ms. It receives synapses from a tenth of the excitatory
and of the inhibitory neurons, and a Poisson process of weight J of its own, at eta times the rate theta / (J tau_m) that
just brings the mean potential to threshold. With g = 5 and eta = 2 the 12,500 neurons of the paper fire asynchronously
and irregularly at 37.7 Hz (figure 8C).
"""

import math

import spikesim as sim
from spikesim.errors import DescriptionError

EXCITATORY = 0.8  # share of all neurons
CONNECTED = 0.1  # share of a population that a neuron receives from
TAU_M, T_REF, DELAY = 20.0, 2.0, 1.5  # ms
THRESHOLD = 20.0  # mV, above rest


def jump(neurons: int) -> float:
    """J in mV: 0.1 for 1,000 excitatory synapses a neuron, as published; otherwise such that J**2 x synapses stays."""
    synapses = round(CONNECTED * EXCITATORY * neurons)
    if synapses < 1:
        raise DescriptionError(f"brunel: {neurons} neurons have no excitatory synapse each; use at least 7")
    return 0.1 * math.sqrt(1000.0 / synapses)


def brunel(*, neurons: int = 12_500, g: float = 5.0, eta: float = 2.0, reset: float = 10.0, record: bool = True) -> sim.Network:
    """The network with its drive; potentials start evenly spread between 10 mV and threshold, which the paper leaves open.

    g: strength of inhibition relative to excitation. eta: drive relative to what just reaches the threshold. reset: in mV;
    with 0, as in the examples of NEST, the network fires at 32 Hz.
    """
    net = sim.Network()
    weight, excitatory = jump(neurons), round(EXCITATORY * neurons)
    model = sim.LIF(tau_m=TAU_M, v_rest=0.0, v_reset=reset, v_threshold=THRESHOLD, t_ref=T_REF, receptors={"jump": sim.Delta()})
    drive = sim.PoissonDrive(1e3 * eta * THRESHOLD / (weight * TAU_M), weight, "jump")
    populations = [net.population(name, size, model, initial={"v": sim.Uniform(10.0, THRESHOLD)})
                   for name, size in (("exc", excitatory), ("inh", neurons - excitatory))]  # fmt: skip
    for source, strength in zip(populations, (weight, -g * weight), strict=True):
        net.project(source, populations, sim.FixedIndegree(round(CONNECTED * len(source))), weight=strength, delay=DELAY)
        net.stimulate(source, drive)
        if record:
            net.record(source, "spikes")
    return net
