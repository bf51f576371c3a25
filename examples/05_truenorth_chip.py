"""A full TrueNorth chip, as Merolla et al. (2014), Science 345:668, measured it: 4,096 cores, 1 M neurons, 134 M synapses.

A recurrent network in which each neuron excites or inhibits half of another core, at 20 Hz. Prints how fast the emulator
is beside the chip, and what the chip would use by two published accounts.
"""

import time

from spikesim.hardware.truenorth import Emulator
from spikesim.hardware.truenorth.recurrent import recurrent_image
from spikesim.hardware.truenorth.report import power

image = recurrent_image(4096, watched=64)
print(image)
emulator = Emulator(image)
emulator.run(steps=50)  # compiles the kernels, and lets the network settle

started, before = time.perf_counter(), emulator.activity
recording = emulator.run(steps=200)
taken, after = time.perf_counter() - started, emulator.activity
print(f"{200 / taken:,.0f} ticks a second on {emulator.threads} threads; the chip makes 1,000")
print(f"{recording.rate('watched'):.1f} Hz, {(after.synaptic_events - before.synaptic_events) / 200:,.0f} synaptic events a tick")
print(f"{after.hops / after.packets:.1f} hops a spike, {after.overflows} overflows")
for account, value in power(after, image.cores).items():
    print(f"power by {account}: {value:.0f} mW")
