"""Neuron models, each by itself: equations, parameters with units, exact coefficients, one scalar step."""

from spikesim.neurons.combining import Maximum as Maximum
from spikesim.neurons.combining import Product as Product
from spikesim.neurons.first_spike import FirstSpike as FirstSpike
from spikesim.neurons.integrate_and_fire import IF as IF
from spikesim.neurons.lif import LIF as LIF
from spikesim.neurons.loihi import LoihiLIF as LoihiLIF
from spikesim.neurons.loihi import ShiftedSum as ShiftedSum
from spikesim.neurons.model import Neuron as Neuron
from spikesim.neurons.sigma_delta import SigmaDelta as SigmaDelta
from spikesim.neurons.truenorth import Rules as Rules
from spikesim.neurons.truenorth import TrueNorth as TrueNorth
