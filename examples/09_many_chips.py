"""A network of depthwise and pointwise convolutions (Howard et al. 2017, MobileNet) over several Loihi chips (Davies et al. 2018).

Weights are random; what is shown is that convolutions share their synapses within a core, that cores are filled and placed over
the chips, and that the emulated chips give the spikes of the engine.
"""

import numpy as np

import spikesim as sim
from spikesim.hardware import map_to

rng = np.random.default_rng(0)
net = sim.Network()
layer = net.population("input", (3, 32, 32), sim.Poisson(rate=100.0))
neuron = sim.LoihiLIF(du=4095.0, vth=200.0, reset="subtract")


def add(name: str, source: sim.network.Population, channels: int, kernel: int, groups: int, stride: int) -> sim.network.Population:
    """One convolution of 8-bit weights, positive ones a little larger."""
    weights = 2.0 * rng.integers(-60, 90, (channels, source.shape[0] // groups, kernel, kernel))
    rule = sim.Conv(weights, stride=stride, padding=kernel // 2, groups=groups)
    made = net.population(name, rule.target_shape(source.shape, name), neuron)
    net.project(source, made, rule, delay=1.0)
    net.record(made)
    return made


layer = add("conv", layer, 16, 3, 1, 1)
for block, (channels, stride) in enumerate([(32, 1), (64, 2), (64, 1), (128, 2), (128, 1)]):
    layer = add(f"depthwise{block}", layer, layer.shape[0], 3, layer.shape[0], stride)
    layer = add(f"pointwise{block}", layer, channels, 1, 1, 1)

image = map_to(net, "loihi1", method="spatial", compare=False)
print(image.report)
image.report.heat_map("many_chips.png")
recording = image.run(20, seed=1)
engine = sim.Simulation(net, dt=1.0, seed=1, progress=False).run(20.0, progress=False)
same = all(np.array_equal(recording.spikes[name].ids, spikes.ids) for name, spikes in engine.spikes.items())
count = sum(map(len, engine.spikes.values()))
print(f"{count:,} spikes, {'the same' if same else 'NOT the same'} on {image.report.chips} chips and on the engine")
