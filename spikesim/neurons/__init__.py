"""Neuron models, one a file: equations, parameters with units, exact coefficients, one scalar step."""

from spikesim.neurons.integrate_and_fire import IF as IF
from spikesim.neurons.lif import LIF as LIF
from spikesim.neurons.loihi import LoihiLIF as LoihiLIF
from spikesim.neurons.loihi import ShiftedSum as ShiftedSum
from spikesim.neurons.model import Neuron as Neuron
