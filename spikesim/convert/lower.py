"""Lowering: calibrated stages as a network of integrate-and-fire neurons.

Values stay in the units of the original network: a spike of a neuron with threshold theta is worth theta, so that it
fires theta-sized pieces of its activation. Neurons start half-way to the threshold, which halves the rounding error
(Bu et al. 2022), and keep what exceeds it (soft reset, Rueckauer et al. 2017).
"""

from collections.abc import Sequence

import numpy as np

from spikesim.connectivity import Conv, Dense
from spikesim.convert.calibrate import Calibrated
from spikesim.convert.graph import Stage
from spikesim.network import Network
from spikesim.neurons import IF
from spikesim.population import Population
from spikesim.stimulus import DirectCurrent


def lower(stages: Sequence[Stage], calibrated: Sequence[Calibrated]) -> Network:
    """One population a stage, connected without delay; one step is 1 ms.

    The first population is driven by a current, the first stage's analog output for the input; the last one never fires:
    its potential divided by the number of steps is the output.
    """
    net = Network()
    before: Population | None = None
    for at, stage in enumerate(stages):
        if stage is stages[-1]:
            thresholds, model = None, IF(v_threshold=np.inf, i_e=0.0 if before is None else per_neuron(stage, stage.bias))
        else:
            thresholds = per_neuron(stage, calibrated[at].thresholds)
            model = IF(v_threshold=thresholds, i_e=0.0 if before is None else per_neuron(stage, stage.bias))
        initial = {} if thresholds is None else {"v": thresholds / 2}
        here = net.population(population_name(stage), stage.out_shape, model, initial=initial)
        if before is None:
            net.stimulate(here, DirectCurrent(np.zeros(len(here))))
        else:
            net.project(before, here, _rule(stage, stages[at - 1], calibrated[at - 1].thresholds), delay=0.0)
        net.record(here, "v" if thresholds is None else "counts")
        before = here
    return net


def population_name(stage: Stage) -> str:
    """The name of a stage's population: that of its layer."""
    return stage.name.replace("/", ".").strip(" .")


def per_neuron(stage: Stage, of_channel: np.ndarray) -> np.ndarray:
    """A value for each channel as one for each neuron of the stage's output."""
    space = stage.out_shape[1:]
    return np.broadcast_to(of_channel.reshape(-1, *(1,) * len(space)), stage.out_shape).reshape(-1).copy()


def _rule(stage: Stage, before: Stage, thresholds: np.ndarray) -> Conv | Dense:
    """The stage's weights, each times what a spike of its source is worth."""
    if stage.kind == "dense":
        return Dense(stage.weights.T * per_neuron(before, thresholds)[:, None])
    per_group = stage.weights.shape[1]
    outputs = stage.weights.shape[0] // stage.groups
    worth = np.repeat(thresholds.reshape(stage.groups, per_group), outputs, axis=0)
    weights = stage.weights * worth.reshape(*worth.shape, *(1,) * (stage.weights.ndim - 2))
    return Conv(weights, stage.stride, stage.padding, stage.dilation, stage.groups)
