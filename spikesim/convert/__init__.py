"""Conversion: from a torch module to a spiking network and a report of what became of it."""

from spikesim.convert.comparison import Comparison as Comparison
from spikesim.convert.comparison import compare as compare
from spikesim.convert.converted import ConvertedNetwork as ConvertedNetwork
from spikesim.convert.converted import SpikingResult as SpikingResult
from spikesim.convert.converted import from_torch as from_torch
from spikesim.convert.energy import EnergyConstants as EnergyConstants
from spikesim.convert.finetune import finetune_qcfs as finetune_qcfs
from spikesim.convert.lowerings import register_lowering as register_lowering
