"""A digit classifier for TrueNorth, after Esser et al. (2016), PNAS 113:11441-11446: weights -1, 0, 1 and spikes of one tick.

Trained in torch with straight-through gradients, mapped onto cores, and run in the emulator: one image a tick. The votes
are the same in torch, on the engine and on the chip.
"""

import numpy as np
import torch

import spikesim as sim
from spikesim.hardware import map_to
from spikesim.hardware.truenorth import Emulator
from spikesim.hardware.truenorth.report import power
from spikesim.models.data import digits
from spikesim.models.truenorth import digits_ternary, ternary_network, train_ternary, votes_of

data = digits()
net = train_ternary(digits_ternary(), data.train_images, data.train_labels)
images, labels = data.test_images, data.test_labels

network = ternary_network(net, images)
image = map_to(network, "truenorth")
print(image)

steps = len(images) + len(net.layers) - 1
emulator = Emulator(image)
on_chip = votes_of(net, emulator.run(steps=steps), len(images))
on_engine = votes_of(net, sim.Simulation(network, dt=1.0).run(float(steps)), len(images))
with torch.no_grad():
    in_torch = net.votes(torch.as_tensor(images)).numpy()
same = np.array_equal(on_chip, in_torch) and np.array_equal(on_engine, in_torch)
print(f"votes in torch, on the engine and on the chip: {'the same' if same else 'DIFFERENT'}")
print(f"{len(images)} held-out digits: {100 * (on_chip.argmax(axis=1) == labels).mean():.1f} % right, {len(net.layers)} ticks each")
used = power(emulator.activity, image.cores)
print(f"{used['components']:.2f} mW at 1,000 images a second, {1e3 * used['components'] / 1000:.2f} uJ an image")
