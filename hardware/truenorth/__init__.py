"""TrueNorth: the chip image, its emulator, corelets, and the mapping of networks onto the chip."""

from spikesim.hardware.truenorth.emulator import Emulator as Emulator
from spikesim.hardware.truenorth.image import ChipImage as ChipImage
from spikesim.hardware.truenorth.image import Inputs as Inputs
from spikesim.neurons.truenorth import Rules as Rules
from spikesim.neurons.truenorth import TrueNorth as TrueNorth
