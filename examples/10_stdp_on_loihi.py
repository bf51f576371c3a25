"""The window of spike-timing dependent plasticity, measured on emulated Loihi cores and in Intel's Lava if it is there.

Pairs of spikes, one for each gap, each through a synapse of its own, in the trace arithmetic of Davies et al. (2018). The dashed
line is the window of Gerstner et al. (1996) that the chip's whole numbers follow; which of them are rounded up is drawn at random.
"""

from importlib.util import find_spec

import numpy as np
from matplotlib.figure import Figure

import spikesim as sim
from spikesim.hardware import map_to

gaps = np.arange(-40, 41)  # steps from the source's spike to the target's
at, start, steps = 60, 128, 120
rule = sim.LoihiSTDP(a_plus=1.0, a_minus=-0.75, tau_plus=10.0, tau_minus=15.0, x_impulse=64.0, y_impulse=64.0)

net = sim.Network()
pairs = np.arange(len(gaps))
source = net.population("source", len(gaps), sim.SpikeTrains(times=np.full(len(gaps), float(at)), ids=pairs))
teacher = net.population("teacher", len(gaps), sim.SpikeTrains(times=at + gaps - 1.0, ids=pairs))  # makes the target fire a step later
receptors = {"strong": sim.ShiftedSum(exponent=3), "weak": sim.ShiftedSum(exponent=-8)}
target = net.population("target", len(gaps), sim.LoihiLIF(du=4095.0, dv=4095.0, vth=1000.0, receptors=receptors))
net.project(teacher, target, sim.OneToOne(), weight=255.0, delay=1.0, receptor="strong")
net.project(source, target, sim.OneToOne(), weight=float(start), delay=1.0, receptor="weak", plasticity=rule, name="learning")
net.record(target)

image = map_to(net, "loihi1")
print(image.report)
backends = ("emulator", "lava") if find_spec("lava") else ("emulator",)
changes = {name: image.run(steps, seed=1, backend=name).weights["learning"].values[-1] - start for name in backends}
before, after = -0.75 * 64 * np.exp(gaps / 15.0), 64 * np.exp(-gaps / 10.0)
window = np.where(gaps < 0, before, np.where(gaps > 0, after, before + after))

print("  gap   window  " + "  ".join(f"{name:>8}" for name in changes))
for k in np.flatnonzero(gaps % 5 == 0):
    print(f"{gaps[k]:5d} {window[k]:8.2f}  " + "  ".join(f"{change[k]:8.0f}" for change in changes.values()))
print(f"farthest from the window: {np.abs(changes['emulator'] - window).max():.1f}")
if "lava" in changes:
    print(f"Lava: {'the same' if np.array_equal(*changes.values()) else 'NOT the same'} {len(gaps)} weights")

figure = Figure(figsize=(6, 3.5), layout="constrained")
axes = figure.subplots()
axes.plot(gaps, window, "--", color="grey", label="window")
for (name, change), marker in zip(changes.items(), "ox", strict=False):
    axes.plot(gaps, change, marker, markersize=5, fillstyle="none", label=name)
axes.set(xlabel="target's spike after the source's (steps)", ylabel="change of the weight")
axes.legend()
figure.savefig("stdp_on_loihi.png", dpi=120)
