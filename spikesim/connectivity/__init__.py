"""Connectivity: rules that say who is connected with whom, and the tables they are built into."""

from spikesim.connectivity.along import Along as Along
from spikesim.connectivity.rules import AllToAll as AllToAll
from spikesim.connectivity.rules import FixedIndegree as FixedIndegree
from spikesim.connectivity.rules import FixedOutdegree as FixedOutdegree
from spikesim.connectivity.rules import FixedProbability as FixedProbability
from spikesim.connectivity.rules import FixedTotalNumber as FixedTotalNumber
from spikesim.connectivity.rules import Matrix as Matrix
from spikesim.connectivity.rules import OneToOne as OneToOne
from spikesim.connectivity.rules import PairList as PairList
from spikesim.connectivity.structured import Conv as Conv
from spikesim.connectivity.structured import ConvTranspose as ConvTranspose
from spikesim.connectivity.structured import Dense as Dense
from spikesim.connectivity.structured import Pool as Pool
