"""Intel's Loihi: limits, integer arithmetic, mapping, an emulator, and Lava."""
