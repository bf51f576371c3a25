"""An edge detector built from corelets (Amir et al. 2013, IJCNN) on a photograph: before and after in truenorth_edges.png.

The photograph is sent as spikes, brighter pixels more often, into a convolution that compares each pixel with its eight
neighbours; what it fires is pooled, two by two. Network and chip fire the same spikes.
"""

import matplotlib
import numpy as np
from sklearn.datasets import load_sample_image

import spikesim as sim
from spikesim.hardware import map_to
from spikesim.hardware.truenorth import corelets

matplotlib.use("agg")
from matplotlib import pyplot

TICKS = 100
photograph = load_sample_image("china.jpg").mean(axis=2)[:416, :640] / 255.0
pixels = photograph.reshape(52, 8, 80, 8).mean(axis=(1, 3))
sent = np.floor(np.arange(1, TICKS + 1)[:, None, None] * pixels)  # spikes so far, evenly in time
ticks, lines = np.nonzero(np.diff(sent, axis=0, prepend=0).reshape(TICKS, -1))

net = sim.Network()
camera = net.population("camera", pixels.size, sim.SpikeTrains(ticks + 1.0, lines))
contrast = np.full((1, 1, 3, 3), -1.0)
contrast[0, 0, 1, 1] = 8.0
edges = corelets.convolution(net, "edges", (1, 52, 80), np.concatenate([contrast, -contrast]), threshold=16, padding=1)
pooled = corelets.average(net, "pooled", (2, 52, 80), 2)
corelets.connect(net, camera, edges.input("in"), delay=0)
corelets.connect(net, edges.output("out"), pooled.input("in"))
net.record(edges.output("out"))
net.record(pooled.output("out"))

image = map_to(net, "truenorth")
print(image)
recording = image.run(steps=TICKS)
expected = sim.Simulation(net, dt=1.0).run(TICKS)
for name in recording.spikes:
    same = np.array_equal(recording.spikes[name].ids, expected.spikes[name].ids)
    print(f"{name}: {len(recording.spikes[name]):,} spikes, {'the same' if same else 'DIFFERENT'} as on the engine")

counts = {name: np.bincount(s.ids, minlength=len(s.recorded)) for name, s in recording.spikes.items()}
strongest = {name: count.reshape(2, -1).max(axis=0) for name, count in counts.items()}  # of both signs
shown = {"photograph": pixels, "edges": strongest["edges.sum"].reshape(52, 80), "pooled": strongest["pooled.pool"].reshape(26, 40)}
figure, axes = pyplot.subplots(1, 3, figsize=(15, 3.6), layout="constrained")
for axis, (title, values) in zip(axes, shown.items(), strict=True):
    axis.imshow(values, cmap="gray", vmax=np.quantile(values, 0.99))
    axis.set(title=title, xticks=[], yticks=[])
figure.savefig("truenorth_edges.png", dpi=100)
