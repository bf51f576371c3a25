"""spikesim: one description of a spiking network, every target, the same spikes.

Units are ms, mV, pA, pF, nS and Hz; quantities from Brian2 are accepted and checked.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from spikesim.connectivity import AllToAll as AllToAll
from spikesim.connectivity import Along as Along
from spikesim.connectivity import Conv as Conv
from spikesim.connectivity import ConvTranspose as ConvTranspose
from spikesim.connectivity import Dense as Dense
from spikesim.connectivity import FixedIndegree as FixedIndegree
from spikesim.connectivity import FixedOutdegree as FixedOutdegree
from spikesim.connectivity import FixedProbability as FixedProbability
from spikesim.connectivity import FixedTotalNumber as FixedTotalNumber
from spikesim.connectivity import Matrix as Matrix
from spikesim.connectivity import OneToOne as OneToOne
from spikesim.connectivity import PairList as PairList
from spikesim.connectivity import Pool as Pool
from spikesim.distributions import ClippedNormal as ClippedNormal
from spikesim.distributions import LogNormal as LogNormal
from spikesim.distributions import Normal as Normal
from spikesim.distributions import Uniform as Uniform
from spikesim.network import Network as Network
from spikesim.neurons import IF as IF
from spikesim.neurons import LIF as LIF
from spikesim.neurons import FirstSpike as FirstSpike
from spikesim.neurons import LoihiLIF as LoihiLIF
from spikesim.neurons import Maximum as Maximum
from spikesim.neurons import Product as Product
from spikesim.neurons import ShiftedSum as ShiftedSum
from spikesim.neurons import SigmaDelta as SigmaDelta
from spikesim.neurons import TrueNorth as TrueNorth
from spikesim.plasticity import LoihiSTDP as LoihiSTDP
from spikesim.recording import Recording as Recording
from spikesim.stimulus import DirectCurrent as DirectCurrent
from spikesim.stimulus import NoiseCurrent as NoiseCurrent
from spikesim.stimulus import Poisson as Poisson
from spikesim.stimulus import PoissonDrive as PoissonDrive
from spikesim.stimulus import SampledCurrent as SampledCurrent
from spikesim.stimulus import SpikeTrains as SpikeTrains
from spikesim.stimulus import StepCurrent as StepCurrent
from spikesim.synapses import AlphaCurrent as AlphaCurrent
from spikesim.synapses import Delta as Delta
from spikesim.synapses import ExponentialConductance as ExponentialConductance
from spikesim.synapses import ExponentialCurrent as ExponentialCurrent
from spikesim.version import VERSION

if TYPE_CHECKING:
    from spikesim.simulation import Simulation as Simulation
    from spikesim.trials import Confidence as Confidence
    from spikesim.trials import Silence as Silence

__version__ = VERSION


LATE = {"Simulation": "spikesim.simulation", "Silence": "spikesim.trials", "Confidence": "spikesim.trials"}


def __getattr__(name: str) -> object:
    """What brings numba along is imported when first asked for."""
    if name in LATE:
        return getattr(import_module(LATE[name]), name)
    raise AttributeError(f"module 'spikesim' has no attribute {name!r}")
