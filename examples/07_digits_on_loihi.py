"""The digit classifier as 8-bit integers on Loihi's cores (Davies et al. 2018), emulated bit for bit, and in Intel's Lava if it is there.

A soft reset takes two compartments, a convolution shares its synapses (Rueckauer et al. 2021). Spikes of a layer arrive a step
later in the next one, so the run is three steps longer. Lava runs the image of the chip for the first ``--images`` (20; 450 take a
minute), all side by side in one network.
"""

import argparse
from importlib.util import find_spec
from time import perf_counter

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

parser = argparse.ArgumentParser()
parser.add_argument("--images", type=int, default=20)
given = parser.parse_args()
data = digits()
images, labels, steps = data.test_images, data.test_labels, 32
snn = from_torch(train(digits_lenet(), data.train_images, data.train_labels), data.train_images)
right = {"float SNN": snn.run(images, steps=steps, progress=False).predictions == labels}

quantized = quantize(snn.network)
first, *_, last = quantized.network.populations
drives = quantized.currents(first, snn.inputs(images)[first])
steps += len(quantized.network.populations) - 1
image = map_to(quantized.network, "loihi1", rates={name: 0.2 for name in quantized.network.populations})
print(quantized.report, image.report, sep="\n")

simulation = sim.Simulation(quantized.network, dt=1.0, threads=1, progress=False)
runs = {"8-bit engine": simulation.trials(float(steps), currents={first: drives}, progress=False),
        "emulator": image.trials(steps, currents={first: drives})}  # fmt: skip
if find_spec("lava"):
    began = perf_counter()
    runs["Lava"] = image.trials(steps, currents={first: drives[: given.images]}, backend="lava")
    print(f"Lava: {len(runs['Lava'])} images in {perf_counter() - began:.0f} s")
outputs = {name: np.stack([recording.trace(last, "v").values for recording in made]) for name, made in runs.items()}
right |= {name: output[:, -1].argmax(axis=1) == labels[: len(output)] for name, output in outputs.items()}

few = min(given.images, len(images))
print(f"{'':14}{'images':>8}{'right':>10}{f'of the first {few}':>20}{'every potential as on the engine':>36}")
for name, hits in right.items():
    same = [np.array_equal(ours, engine) for ours, engine in zip(outputs.get(name, ()), outputs["8-bit engine"], strict=False)]
    identical = f"{sum(same)} of {len(same)}" if same else "-"
    print(f"{name:14}{len(hits):8}{100 * hits.mean():8.1f} %{100 * hits[:few].mean():18.1f} %{identical:>36}")
_, activity = emulate(image, steps, sent_spikes(image, None, steps), run_bias(image, {first: drives[0]}))
print(f"one image: {energy(image, activity)}")
