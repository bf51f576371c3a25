"""Neuromorphic chips: their limits as data, mapping onto them, and emulators that run the mapped image."""

from spikesim.hardware.target import map_to as map_to
