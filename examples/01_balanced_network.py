"""The current-based balanced network of Vogels & Abbott (2005), J Neurosci 25:10786-95, in the form of Brette et al. (2007).

Four thousand neurons with strong, balanced excitation and inhibition fire irregularly without any noise. The script
prints rates and irregularity, saves a raster, and shows that a run can be saved in the middle and resumed.
"""

import tempfile
from pathlib import Path

import numpy as np

import spikesim as sim
from spikesim.models.networks.vogels_abbott import cuba

net = cuba()
print(net)

simulation = sim.Simulation(net, dt=0.1, seed=42)
recording = simulation.run(2000.0)
for name in recording.spikes:
    print(f"{name}: {recording.rate(name):.2f} Hz, CV of intervals {recording.cv_isi(name):.2f}")
recording.raster().savefig("balanced_network.png", dpi=120)

with tempfile.TemporaryDirectory() as folder:
    state = Path(folder) / "state.h5"
    simulation.save(state)
    straight = simulation.run(500.0)
    resumed = sim.Simulation.load(state, threads=2).run(500.0)
same = np.array_equal(straight.spikes["exc"].ids, resumed.spikes["exc"].ids)
print(f"resumed from a file, on two threads: {'the same spikes' if same else 'DIFFERENT SPIKES'}")
