"""The comparisons in examples/benchmarks: each peer gives the figures of `spikesim bench`, and simulates the same network."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from spikesim.benchmarks import BENCHMARKS
from spikesim.simulation import Simulation

BENCHMARKS_FOLDER = Path(__file__).resolve().parents[1] / "examples" / "benchmarks"
PEERS = BENCHMARKS_FOLDER / "peers"
FIGURES = {"wall_per_model_time", "rate_hz", "build_time_s", "peak_memory_bytes"}
IN_NEST = {  # network: (scale, model time in ms, how far the rate may be from spikesim's, relatively)
    "cuba": (1.0, 1000.0, 0.15),
    "coba": (1.0, 300.0, 0.25),
    "brunel": (0.2, 300.0, 0.1),
    "microcircuit": (0.05, 500.0, 0.15),
    "feedforward": (1.0, 500.0, 0.05),  # NEST's inputs may have two spikes in a step
}
IN_BRIAN2 = {"coba": (1.0, 200.0, 0.25), "brunel": (0.4, 300.0, 0.1), "microcircuit": (0.05, 200.0, 0.2), "feedforward": (1.0, 300.0, 0.02)}
UNCOMPILED = """
import sys, warnings
warnings.simplefilter("ignore")
import brian2 as b2
from brian2_translation import translated
from figures import size
from spikesim.benchmarks import BENCHMARKS

name, scale, time = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
b2.seed(1)
b2.prefs.codegen.target = "numpy"
network = BENCHMARKS[name].build(scale)
program, monitors = translated(b2, network, BENCHMARKS[name].dt)
program.run(BENCHMARKS[name].warm_up * b2.ms)
before = sum(monitor.num_spikes for monitor in monitors)
program.run(time * b2.ms)
print(1e3 * (sum(monitor.num_spikes for monitor in monitors) - before) / (size(network) * time))
"""


def run_python(*arguments, check=True):
    environment = os.environ | {"COLUMNS": "200", "PYTHONPATH": os.pathsep.join([str(PEERS), str(BENCHMARKS_FOLDER.parents[1])])}
    return subprocess.run([sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True, check=check, timeout=300)


def peer(script, *arguments):
    """The figures that a peer's script prints in its last line."""
    figures = json.loads(run_python(PEERS / script, *arguments).stdout.strip().splitlines()[-1])
    assert figures.keys() == FIGURES
    assert all(figure > 0.0 for figure in figures.values())
    return figures


def spikesim_rate(name, scale, time):
    benchmark = BENCHMARKS[name]
    simulation = Simulation(benchmark.build(scale), dt=benchmark.dt, seed=1, threads=1, progress=False)
    simulation.run(benchmark.warm_up)
    spikes = sum(map(len, simulation.run(time).spikes.values()))
    return 1e3 * spikes / (simulation.program.neurons * time)


def needs(package):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


@needs("nest")
@pytest.mark.parametrize("name", IN_NEST)
def test_nest(name):
    """NEST fires as spikesim does, within a tolerance for other random numbers."""
    scale, time, tolerance = IN_NEST[name]
    figures = peer("nest_networks.py", name, "--scale", scale, "--time", time)
    assert figures["rate_hz"] == pytest.approx(spikesim_rate(name, scale, time), rel=tolerance)


@needs("brian2")
@pytest.mark.parametrize("name", IN_BRIAN2)
def test_brian2(name):
    """What is compiled for Brian2 fires as spikesim does when it runs in Python."""
    scale, time, tolerance = IN_BRIAN2[name]
    rate = float(run_python("-c", UNCOMPILED, name, scale, time).stdout)
    assert rate == pytest.approx(spikesim_rate(name, scale, time), rel=tolerance)


@needs("brian2")
def test_compiled_brian2(tmp_path):
    """The compiled program gives its figures, and fires as spikesim does."""
    run_python(PEERS / "brian2_networks.py", "build", tmp_path, "cuba", "--time", 500.0)
    figures = peer("brian2_networks.py", "run", tmp_path)
    assert figures["rate_hz"] == pytest.approx(spikesim_rate("cuba", 1.0, 500.0), rel=0.2)


@needs("norse")
def test_norse():
    """norse integrates the same layers in every step, several samples at once."""
    figures = peer("norse_feedforward.py", "feedforward", "--batch", 4, "--time", 800.0, "--eager")
    assert figures["rate_hz"] == pytest.approx(spikesim_rate("feedforward", 1.0, 800.0), rel=0.02)


@needs("spikingjelly")
@pytest.mark.parametrize("recipe", ["plain", "best", "balanced"])
def test_spikingjelly(tmp_path, monkeypatch, recipe):
    """SpikingJelly's outputs go towards those of the module in torch, and its spikes are counted."""
    monkeypatch.syspath_prepend(PEERS)
    write_task(tmp_path)
    options = ["--recipe", recipe, "--images", 70, "--batch", 50, "--eager"]
    figures = json.loads(run_python(PEERS / "spikingjelly_conversion.py", tmp_path, *options).stdout.strip().splitlines()[-1])
    assert len(figures["accuracy"]) == len(figures["error"]) == 64
    assert figures["error"][63] < 0.03
    assert figures["error"][63] < 0.5 * figures["error"][3]
    assert figures["accuracy"][63] > 0.9
    assert figures["neurons"] == 216
    assert sum(figures["spikes_per_layer"].values()) == pytest.approx(216 * 64 * figures["spikes_per_neuron_step"])
    assert 0.05 < figures["spikes_per_neuron_step"] < 0.95
    assert set(figures["accuracy_delayed"]) == {"2", "4", "8", "16", "32", "64"}
    assert min(figures[name] for name in ("ms_per_image_step", "build_time_s", "peak_memory_bytes")) > 0.0


def test_spikesim_side(tmp_path, monkeypatch):
    """A recipe tuned to several numbers of steps is judged after as many of each conversion; a burst is nearer than plain spikes."""
    monkeypatch.syspath_prepend(PEERS)
    write_task(tmp_path)
    found = {}
    for recipe in ("plain", "tuned", "burst", "burst_tuned"):
        options = ["--recipe", recipe, "--images", 40, "--steps", 8, "--lengths", "2,4,8"]
        found[recipe] = json.loads(run_python(PEERS / "spikesim_conversion.py", tmp_path, *options).stdout.strip().splitlines()[-1])
        figures = found[recipe]
        assert len(figures["accuracy"]) == len(figures["error"]) == 8
        assert figures["neurons"] == 216
        assert sum(figures["spikes_per_layer"].values()) == pytest.approx(216 * 8 * figures["spikes_per_neuron_step"])
        assert figures["operations_per_step"] == pytest.approx(10 * 216 * figures["spikes_per_neuron_step"])
        assert min(figures[name] for name in ("ms_per_image_step", "build_time_s", "peak_memory_bytes")) > 0.0
    for after in (2, 4, 8):
        assert found["tuned"]["error"][after - 1] < found["plain"]["error"][after - 1]
        assert found["burst"]["error"][after - 1] < found["plain"]["error"][after - 1]


def write_task(folder):
    """A small module that has not been trained, with 200 images to calibrate with and 100 to judge by."""
    import conversion_figures
    import torch

    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 6, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(216, 10)).eval()
    images = torch.rand(300, 1, 8, 8)
    logits = module(images[:100]).detach().double().numpy()
    shown = (images[100:].numpy(), images[:100].numpy(), logits.argmax(axis=1), logits)
    conversion_figures.write(folder, conversion_figures.Task(module, *shown))


def test_table_of_conversion(monkeypatch, capsys, tmp_path):
    """Accuracies come from all images, times from some; a peer goes on with the batch that it has chosen."""
    monkeypatch.syspath_prepend(BENCHMARKS_FOLDER)
    import conversion

    asked = []

    def measure(path, folder, *options):
        asked.append((path.name, dict(zip(options[::2], options[1::2], strict=True))))
        known = {
            "accuracy": [0.5, 0.75, 0.75, 0.95],
            "error": [1.0, 0.5, 0.25, 0.125],
            "spikes_per_neuron_step": 0.05,
            "peak_memory_bytes": 2e9,
        }
        if path.name == "spikesim_conversion.py":
            return known | {"ms_per_image_step": 0.25, "operations_per_step": 1.5e6}
        return known | {"ms_per_image_step": 1.0, "batch": 32, "accuracy_delayed": {"2": 0.5, "4": 0.9875}}

    monkeypatch.setattr(conversion, "script", measure)
    monkeypatch.setattr(conversion, "wait_for_quiet", lambda: True)
    monkeypatch.setattr(conversion, "OURS", {"tuned": "tuned"})
    monkeypatch.setattr(conversion, "RECIPES", {"best": "by channel"})
    monkeypatch.setitem(conversion.MODELS, "digits", digits_untrained)
    conversion.main("spikingjelly", "digits", 40, 16, 4, 2, 2, 3, "", tmp_path / "figures.json")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    torch_row, ours, theirs, later = rows
    assert torch_row[0] == "torch" and torch_row[1] == torch_row[2]
    assert ours == ["spikesim, tuned", "75.00", "95.00", "0.1250", "0.050", "1.5 M", "2.00", "0.25 (0.25 .. 0.25)", "1 (1 .. 1)"]
    assert theirs == ["SpikingJelly, by channel", "75.00", "95.00", "0.1250", "0.050", "", "2.00", "1 (1 .. 1)", "4 (4 .. 4)"]
    assert conversion.crossover({0.1: 2.0, 0.3: 3.0, 0.5: 4.0}, 2.25) == pytest.approx((1.5, 0.15))
    assert later[:3] == ["read later", "50.00", "98.75"]
    peers = [options for name, options in asked if name == "spikingjelly_conversion.py"]
    assert [options["--images"] for options in peers] == ["16", "16", "40"]
    assert [options.get("--batch") for options in peers] == [None, "32", "32"]
    mine = [options for name, options in asked if name == "spikesim_conversion.py"]
    assert [(options["--steps"], options.get("--lengths")) for options in mine] == [("3", None), ("3", None), ("4", "2,4")]
    assert set(json.loads((tmp_path / "figures.json").read_text())["contenders"]) == {"spikesim, tuned", "SpikingJelly, by channel"}


def digits_untrained():
    from spikesim.models.data import digits
    from spikesim.models.lenet import digits_lenet

    split = digits()
    return digits_lenet().eval(), (split.train_images, split.test_images, split.test_labels)


def test_table(monkeypatch, capsys):
    """Each contender has a row with its figures and its ratio to spikesim, on any number of threads asked for."""
    monkeypatch.syspath_prepend(BENCHMARKS_FOLDER)
    import contest
    import side_by_side

    entry = {"wall_per_model_time": 1.0, "rate_hz": 12.5, "build_time_s": 3.25, "peak_memory_bytes": 7.5e9}
    monkeypatch.setattr(side_by_side, "busy_share", lambda: 0.0)
    monkeypatch.setitem(contest.PREPARE, "nest", lambda setting, threads: {f"{setting.network} on {threads}": lambda: entry})
    contest.contest("cuba", {"nest": 1.0}, also={"ms / sample": 100.0})(scale=0.05, time=10.0, rounds=2, peer_threads=3, threads=1)
    ours, theirs = (line for line in capsys.readouterr().out.splitlines() if line.startswith("│"))
    assert "spikesim --threads 1" in ours and "1 (1 .. 1)" in ours
    cells = [cell.strip() for cell in theirs.split("│")[1:-2]]
    assert cells == ["cuba on 3", "1 (1 .. 1)", "100 (100 .. 100)", "12.50", "3.25", "7.50"]


@pytest.mark.parametrize(
    ("script", "options", "message"),
    [
        ("cuba", ["--against", "norse"], "cuba is not compared with 'norse'; there is brian2, nest"),
        ("feedforward", ["--against", "genn"], "feedforward is not compared with 'genn'; there is norse, brian2, nest"),
        ("conversion", ["--against", "sinabs"], "conversion is not compared with 'sinabs'; there is spikingjelly"),
        ("conversion", ["--model", "vgg19"], "there is no model 'vgg19'; there is perceptron, mlp"),
        ("conversion", ["--rounds", "0"], "expected at least 1, got 0"),
        ("microcircuit", ["--against", "brian2", "--scale", "0.5"], "brian2 runs microcircuit up to scale 0.2, got 0.5"),
    ],
)
def test_what_cannot_be_compared(script, options, message):
    """A comparison that does not exist is refused before anything is measured, and says what there is."""
    done = run_python(BENCHMARKS_FOLDER / f"{script}.py", *options, check=False)
    assert done.returncode == 2
    assert message in done.stderr
