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

SIZE, SYNAPSES, DURATION, DT = 50, 1000, 1000.0, 0.1
MEMBRANE = {"tau_m": 20.0, "C_m": 250.0, "E_L": -70.0, "V_reset": -68.0, "V_th": -55.0, "t_ref": 1.5}
KINETICS = {"tau_syn_ex": 2.0, "tau_syn_in": 5.0}
MODELS = {  # spikesim's receptors (of both signs where NEST has one for both), NEST's further parameters, the weight J
    "iaf_psc_exp": ({"exc": sim.ExponentialCurrent(tau=2.0), "inh": sim.ExponentialCurrent(tau=5.0)}, KINETICS, 300.0),
    "iaf_psc_alpha": ({"exc": sim.AlphaCurrent(tau=2.0), "inh": sim.AlphaCurrent(tau=5.0)}, KINETICS, 120.0),
    "iaf_psc_delta": ({"both": sim.Delta()}, {}, 2.0),
}


def random_network(seed, weight):
    """Explicit connectivity of 40 excitatory (weight J) and 10 inhibitory neurons (-4 J), unequal drive and start."""
    rng = np.random.default_rng(seed)
    pre = rng.integers(0, SIZE, SYNAPSES)
    return {
        "pre": pre, "post": rng.integers(0, SIZE, SYNAPSES), "weight": np.where(pre < 40, weight, -4.0 * weight),
        "delay": rng.integers(1, 50, SYNAPSES) * DT, "i_e": rng.uniform(240.0, 340.0, SIZE), "v": rng.uniform(-70.0, -56.0, SIZE),
    }  # fmt: skip


def receptor_of_each(network, model):
    signed = np.where(network["weight"] > 0.0, "exc", "inh")
    return signed if "exc" in MODELS[model][0] else np.full(SYNAPSES, "both")


def in_spikesim(network, model, run_cpu):
    """Spikes as rows (step, neuron), irregular enough to be a test; and how weights were rounded, by receptor."""
    net = sim.Network()
    lif = sim.LIF(tau_m=MEMBRANE["tau_m"], c_m=MEMBRANE["C_m"], v_rest=MEMBRANE["E_L"], v_reset=MEMBRANE["V_reset"],
                  v_threshold=MEMBRANE["V_th"], t_ref=MEMBRANE["t_ref"], i_e=network["i_e"], receptors=MODELS[model][0])  # fmt: skip
    cells = net.population("cells", SIZE, lif, initial={"v": network["v"]})
    for receptor in MODELS[model][0]:
        mine = receptor_of_each(network, model) == receptor
        net.project(cells, cells, sim.PairList(network["pre"][mine], network["post"][mine]), weight=network["weight"][mine],
                    delay=network["delay"][mine], receptor=receptor)  # fmt: skip
    net.record(cells)
    recording, simulation = run_cpu(net, DURATION, dt=DT)
    spikes = recording.spikes["cells"]
    assert len(spikes) > 500
    assert recording.cv_isi("cells") > 0.4
    rows = np.column_stack([np.rint(spikes.times / DT).astype(int), spikes.ids])
    return rows, {each.port.removeprefix("cells."): each for each in simulation.program.rounding}


def in_nest(network, model, folder):
    """Spikes as rows (step, neuron), in spikesim's order."""
    setup = {"model": model, "parameters": MEMBRANE | MODELS[model][1], "dt": DT, "duration": DURATION}
    np.savez(folder / "network.npz", setup=json.dumps(setup), **network)
    script = Path(__file__).with_name("nest_network.py")
    done = subprocess.run([sys.executable, script, "network.npz", "spikes.npz"], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = np.load(folder / "spikes.npz")
    order = np.lexsort((found["ids"], found["steps"]))
    return np.column_stack([found["steps"], found["ids"]])[order]


@pytest.mark.parametrize("model", MODELS)
def test_same_spikes(model, run_cpu, tmp_path):
    """With weights J and -4 J and delays of 0.1 to 4.9 ms, all spikes of irregular firing are those of NEST."""
    network = random_network(1, MODELS[model][2])
    mine, _ = in_spikesim(network, model, run_cpu)
    np.testing.assert_array_equal(mine, in_nest(network, model, tmp_path))


@pytest.mark.parametrize("model", MODELS)
def test_same_spikes_with_rounded_weights(model, run_cpu, tmp_path):
    """Arbitrary weights: all spikes are those of NEST given the weights as the compiler says it has rounded them."""
    network = random_network(2, MODELS[model][2])
    network["weight"] *= np.random.default_rng(7).normal(1.0, 0.2, SYNAPSES).clip(0.3)
    mine, rounding = in_spikesim(network, model, run_cpu)
    quantum = np.array([rounding[receptor].quantum for receptor in receptor_of_each(network, model)])
    rounded = np.rint(network["weight"] / quantum) * quantum
    error = np.abs(rounded / network["weight"] - 1.0)
    assert error.max() == pytest.approx(max(each.largest_error for each in rounding.values()))
    assert 0.0 < error.max() < 1e-3
    np.testing.assert_array_equal(mine, in_nest(network | {"weight": rounded}, model, tmp_path))
