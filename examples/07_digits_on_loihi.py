"""The digit classifier as 8-bit integers on Loihi's cores (Davies et al. 2018), emulated bit for bit, and in Intel's Lava if it is there.

A soft reset takes two compartments, a convolution shares its synapses (Rueckauer et al. 2021). Spikes of a layer arrive a step
later in the next one, so the run is three steps longer. An argument says for how many images Lava runs too (1).
"""

import sys
from importlib.util import find_spec

import numpy as np

import spikesim as sim
from spikesim.convert import from_torch
from spikesim.hardware import map_to
from spikesim.hardware.energy import energy
from spikesim.hardware.loihi.run import emulate, run_bias, sent_spikes
from spikesim.hardware.quantize import quantize
from spikesim.models.data import digits
from spikesim.models.lenet import digits_lenet
from spikesim.models.train import train

data = digits()
images, labels, steps = data.test_images, data.test_labels, 32
snn = from_torch(train(digits_lenet(), data.train_images, data.train_labels), data.train_images)
shares = {"float SNN": snn.run(images, steps=steps, progress=False).accuracy(labels)[-1]}

quantized = quantize(snn.network)
first, *_, last = quantized.network.populations
drives = quantized.currents(first, snn.inputs(images)[first])
steps += len(quantized.network.populations) - 1
image = map_to(quantized.network, "loihi1", rates={name: 0.2 for name in quantized.network.populations})
print(quantized.report, image.report, sep="\n")

simulation = sim.Simulation(quantized.network, dt=1.0, threads=1, progress=False)
runs = {"8-bit engine": simulation.trials(float(steps), currents={first: drives}, progress=False),
        "emulator": [image.run(steps, currents={first: drive}) for drive in drives]}  # fmt: skip
if find_spec("lava"):
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    runs["Lava"] = [image.run(steps, currents={first: drive}, backend="lava") for drive in drives[:count]]
outputs = {name: np.stack([recording.trace(last, "v").values for recording in made]) for name, made in runs.items()}
for name, output in outputs.items():
    shares[name] = float((output[:, -1].argmax(axis=1) == labels[: len(output)]).mean())
    same = np.array_equal(output, outputs["8-bit engine"][: len(output)])
    print(f"{name}: {len(output)} images, every potential in every step {'as' if same else 'NOT as'} on the engine")
print(", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items()))
_, activity = emulate(image, steps, sent_spikes(image, None, steps), run_bias(image, {first: drives[0]}))
print(f"one image: {energy(image, activity)}")
