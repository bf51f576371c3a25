"""A recurrent balanced network (Vogels & Abbott 2005, with one synaptic time constant) as integers on Loihi's cores.

The float network is quantised to steps of 0.5 ms, its spikes are compared with the integer network's, and that is mapped and
emulated, bit for bit as the chip computes (Davies et al. 2018).
"""

import numpy as np

import spikesim as sim
from spikesim.hardware import map_to
from spikesim.hardware.quantize import quantize

net = sim.Network()
synapse = sim.ExponentialCurrent(tau=5.0)  # ms; a neuron of the chip has one current
lif = sim.LIF(tau_m=20.0, c_m=200.0, v_rest=-60.0, v_reset=-60.0, v_threshold=-50.0, t_ref=5.0, i_e=210.0, receptors={"all": synapse})
exc = net.population("exc", 800, lif, initial={"v": sim.Uniform(-60.0, -50.0)})
inh = net.population("inh", 200, lif, initial={"v": sim.Uniform(-60.0, -50.0)})
net.project(exc, [exc, inh], sim.FixedProbability(0.05), weight=16.2, delay=1.0)
net.project(inh, [exc, inh], sim.FixedProbability(0.05), weight=-90.0, delay=1.0)
net.record(exc)
net.record(inh)

quantized = quantize(net, dt=0.5, duration=500.0)
print(quantized.report)
image = map_to(quantized.network, "loihi1", rates={"exc": 0.01, "inh": 0.01}, seed=1)
print(image.report)
image.report.heat_map("balanced_network_on_loihi.png")
recording = image.run(1000)
engine = sim.Simulation(quantized.network, dt=1.0, progress=False).run(1000.0, progress=False)
for name in ("exc", "inh"):
    same = np.array_equal(recording.spikes[name].times, engine.spikes[name].times)
    same = same and np.array_equal(recording.spikes[name].ids, engine.spikes[name].ids)
    print(f"{name}: {len(recording.spikes[name]):,} spikes on the chip, {'the same' if same else 'NOT the same'} on the engine")
