"""NEST 3.10: the same recurrent network gives the same spikes, each in the same step of the same neuron."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import spikesim as sim

pytestmark = pytest.mark.skipif(find_spec("nest") is None, reason="NEST is not installed")

DURATION = 1000.0
KINETICS = {"tau_syn_ex": 2.0, "tau_syn_in": 5.0}
MODELS = {  # spikesim's receptors (one for both signs if NEST has one for both), NEST's further parameters, the weight J
    "iaf_psc_exp": ({"exc": sim.ExponentialCurrent(tau=2.0), "inh": sim.ExponentialCurrent(tau=5.0)}, KINETICS, 300.0),
    "iaf_psc_alpha": ({"exc": sim.AlphaCurrent(tau=2.0), "inh": sim.AlphaCurrent(tau=5.0)}, KINETICS, 120.0),
    "iaf_psc_delta": ({"both": sim.Delta()}, {}, 2.0),
}
NAMES = {"tau_m": "tau_m", "c_m": "C_m", "v_rest": "E_L", "v_reset": "V_reset", "v_threshold": "V_th", "t_ref": "t_ref"}


@pytest.fixture
def in_nest(membrane, tmp_path):
    """Run what `random_network` drew in a process of its own: rows (step, neuron) of its spikes, in spikesim's order."""

    def fire(network, model):
        parameters = {NAMES[name]: value for name, value in membrane.items()} | MODELS[model][1]
        setup = {"model": model, "parameters": parameters, "dt": 0.1, "duration": DURATION}
        np.savez(tmp_path / "network.npz", setup=json.dumps(setup), **network)
        command = [sys.executable, Path(__file__).with_name("nest_network.py"), "network.npz", "spikes.npz"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        found = np.load(tmp_path / "spikes.npz")
        order = np.lexsort((found["ids"], found["steps"]))
        return np.column_stack([found["steps"], found["ids"]])[order]

    return fire


@pytest.mark.parametrize("model", MODELS)
def test_same_spikes(model, random_network, in_spikesim, in_nest):
    """With weights J and -4 J and delays of 0.1 to 4.9 ms, all spikes of irregular firing are those of NEST."""
    receptors, _, weight = MODELS[model]
    network = random_network(1, weight)
    spikes, _ = in_spikesim(network, receptors, DURATION)
    np.testing.assert_array_equal(spikes, in_nest(network, model))


@pytest.mark.parametrize("model", MODELS)
def test_same_spikes_with_rounded_weights(model, random_network, in_spikesim, in_nest):
    """Arbitrary weights: all spikes are those of NEST given the weights as the compiler says it has rounded them."""
    receptors, _, weight = MODELS[model]
    network = random_network(2, weight)
    network["weight"] *= np.random.default_rng(7).normal(1.0, 0.2, len(network["weight"])).clip(0.3)
    spikes, rounding = in_spikesim(network, receptors, DURATION)
    signed = np.where(network["weight"] > 0.0, "exc", "inh")
    quantum = np.array([rounding[name if name in rounding else "both"].quantum for name in signed])
    rounded = np.rint(network["weight"] / quantum) * quantum
    error = np.abs(rounded / network["weight"] - 1.0)
    assert error.max() == pytest.approx(max(each.largest_error for each in rounding.values()))
    assert 0.0 < error.max() < 1e-3
    np.testing.assert_array_equal(spikes, in_nest(network | {"weight": rounded}, model))
