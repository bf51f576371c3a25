"""The network that is made of a graph: a population for each non-linear node, relays between linear ones, currents."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from spikesim.convert import from_torch
from spikesim.convert.calibrate import BURST, RATE, SIGNED
from spikesim.convert.graph import READ_OUT
from spikesim.convert.lower import analog_part
from spikesim.network import Network
from spikesim.neurons import IF, Maximum, Product, SigmaDelta

CODINGS = RATE, SIGNED


@pytest.mark.parametrize("coding", CODINGS)
def test_there_is_a_population_for_each_neuron_and_nothing_else_but_relays(network, coding):
    snn = network.converted(coding)
    firing = {node.name for node in snn.graph if not node.linear and not node.shown}
    populations = snn.network.populations
    assert set(populations) == firing | {READ_OUT} | set(snn.lowered.relays)
    assert [layer.population for layer in snn.report.layers] == [*(node.name for node in snn.graph if node.name in firing), READ_OUT]
    for name, population in populations.items():
        place = snn.lowered.place(name)
        assert len(population) == len(place.worth) == len(place.order)
        assert sorted(place.order) == list(range(len(population)))
        assert (place.worth > 0.0).all()
    assert all(projection.delay == 0.0 for projection in snn.network.projections.values())
    for name in snn.lowered.relays:
        model = populations[name].model
        assert isinstance(model, SigmaDelta) and model.function == "identity" and model.burst == BURST[coding]
    assert snn.report.macs == sum(node.macs for node in network.graph)


@pytest.mark.parametrize("coding", CODINGS)
def test_currents_are_the_analog_part(network, coding):
    """What the image reaches gets a current; biases alone are part of the neuron; in signed coding both come once."""
    snn = network.converted(coding)
    silent = analog_part(snn.graph, np.zeros((1, *snn.shape)))
    seen = analog_part(snn.graph, network.images)
    for name, node in snn.lowered.shown.items():
        assert not np.array_equal(seen[node], np.broadcast_to(silent[node], seen[node].shape))
        assert name in snn.network.populations
    stimulated = {given.target.population for given in snn.network.stimulations}
    assert stimulated == set(snn.lowered.shown)


MODELS = {  # name: (layer, model in rate coding)
    "relu": (nn.ReLU, IF),
    "relu6": (nn.ReLU6, IF),
    "hardtanh": (nn.Hardtanh, SigmaDelta),
    "leaky": (nn.LeakyReLU, SigmaDelta),
    "sigmoid": (nn.Sigmoid, SigmaDelta),
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", MODELS)
def test_models(name, coding, images):
    layer, rate = MODELS[name]
    snn = from_torch(nn.Sequential(nn.Linear(6, 4), layer(), nn.Linear(4, 2)), images((6,)), coding=coding)
    model, worth = snn.network.populations["1"].model, snn.lowered.places["1"].worth
    assert type(model) is (rate if coding == RATE else SigmaDelta)
    np.testing.assert_array_equal(model.v_threshold if isinstance(model, IF) else model.quantum, worth)
    if isinstance(model, IF):
        np.testing.assert_array_equal(snn.network.populations["1"].initial["v"], worth / 2.0)
    else:
        assert model.averaged == (coding == RATE)


def test_products_and_maxima(networks):
    gate = networks("SE gate")
    models = [p.model for p in from_torch(gate.module, gate.images, coding=SIGNED).network.populations.values()]
    assert any(isinstance(model, Product) for model in models)
    pool = networks("conv max-pool")
    models = [p.model for p in from_torch(pool.module, pool.images, coding=SIGNED).network.populations.values()]
    assert [model.inputs for model in models if isinstance(model, Maximum)] == [9]


@pytest.mark.parametrize(("name", "relays"), [("MLP", 0), ("residual", 0), ("concat", 0), ("generator", 0), ("autoencoder", 1), ("GCN", 2)])
def test_relays_stand_only_between_operators_that_cannot_be_merged(name, relays, networks):
    net = networks(name)
    snn = from_torch(net.module, net.images)
    assert len(snn.lowered.relays) == relays == len(snn.report.relays)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", ["conv3d", "SE gate", "conv max-pool", "U-Net", "generator"])
def test_a_network_survives_copying_and_saving(name, coding, networks, tmp_path):
    snn = networks(name).converted(coding)
    copied = copy.deepcopy(snn.network)
    assert copied == snn.network
    copied.population("more", 1, IF())
    assert copied != snn.network
    snn.network.save(tmp_path / "net.h5")
    assert Network.load(tmp_path / "net.h5") == snn.network


def test_converting_twice_gives_equal_networks_and_another_module_another(networks):
    net = networks("residual")
    first, second = (from_torch(net.module, net.images) for _ in range(2))
    assert first.network == second.network and first.report == second.report
    changed = copy.deepcopy(net.module)
    with torch.no_grad():
        next(changed.parameters()).mul_(1.01)
    assert from_torch(changed, net.images).network != first.network


def test_names_of_the_module_do_not_collide_with_those_of_the_conversion(images):
    module = nn.Sequential()
    for name, layer in ((READ_OUT, nn.Linear(6, 5)), ("input", nn.ReLU()), ("spikes", nn.Linear(5, 3))):
        module.add_module(name, layer)
    other = nn.Sequential(module)
    plain = nn.Sequential(*module)
    for named in (module, other, nn.Sequential(nn.Linear(6, 5), Named(), nn.Linear(5, 3))):
        assert READ_OUT in from_torch(named, images((6,))).network.populations
    found, wanted = (from_torch(made, images((6,))).run(images((6,)), steps=5, engine="reference", progress=False).outputs
                     for made in (module, plain))  # fmt: skip
    np.testing.assert_array_equal(found, wanted)


class Named(nn.Module):
    """A rectifier by the name of the read-out."""

    def __init__(self):
        super().__init__()
        self.add_module(READ_OUT, nn.ReLU())

    def forward(self, x):
        return self.get_submodule(READ_OUT)(x)
