"""Compiled kernels: kept on disk, renewed when a source changes, shared by processes, made from the user's own models too."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MODEL = '''
"""The neuron of Izhikevich (2003), a model of the user's own."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

import spikesim as sim
from spikesim.description import real
from spikesim.neurons.model import Neuron
from spikesim.synapses import Delta


def izhikevich_step(v, u, current, jump, conductance, pull, injected, h, a, b, c, d):
    new = v + h * (0.04 * v * v + 5 * v + 140 - u + injected + current) + jump
    u = u + h * a * (b * v - u)
    spike = new >= 30
    return c if spike else new, u + d if spike else u, spike


class Izhikevich(Neuron):
    STATE = ("v", "u")
    a: Any = real(default=0.02, varies=True)
    b: Any = real(default=0.2, varies=True)
    c: Any = real(default=-65.0, varies=True)
    d: Any = real(default=8.0, varies=True)
    t_ref: Any = real(default=0.0)
    receptors: Mapping[str, Any] = field(default_factory=lambda: {"hit": Delta()})

    def check(self):
        self.check_receptors(("jump",))

    def membrane(self):
        return izhikevich_step

    def coefficients(self, h):
        return {"h": h, "a": self.a, "b": self.b, "c": self.c, "d": self.d}

    def receptor_coefficients(self, h):
        return {name: {} for name in self.receptors}

    def initial(self):
        return {"v": -65.0, "u": -13.0}


def run(engine):
    net = sim.Network()
    cells = net.population("cells", 30, Izhikevich(a=sim.Uniform(0.02, 0.1)))
    net.project(cells, cells, sim.FixedIndegree(5), weight=1.5, delay=1.0)
    net.stimulate(cells, sim.NoiseCurrent(mean=6.0, sd=4.0, interval=1.0))
    net.record(cells)
    net.record(cells, "u")
    recording = sim.Simulation(net, dt=0.5, engine=engine, precision="float64", seed=1).run(100.0)
    spikes = recording.spikes["cells"]
    return len(spikes), hash((spikes.times.tobytes(), spikes.ids.tobytes(), recording.trace("cells", "u").values.tobytes()))


if __name__ == "__main__":
    for engine in ("reference", "cpu"):
        print(*run(engine))
'''


def run_script(path, **variables):
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONWARNINGS": "error"} | variables
    return subprocess.run([sys.executable, str(path)], cwd=path.parent, env=environment, capture_output=True, text=True, timeout=120,
                          check=False)  # fmt: skip


def results(done):
    """The lines of the two engines."""
    assert (done.returncode, done.stderr) == (0, "")
    reference, cpu = done.stdout.splitlines()
    return reference, cpu


def sweeps(cache):
    return {path.name for path in cache.rglob("spikesim_sweep_*.py")}


def edited(text, *changes):
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


def test_own_model_and_its_kernel(tmp_path):
    """A model defined in a script runs on both engines with the same spikes; when its step changes, so does the kernel."""
    script, cache = tmp_path / "model.py", tmp_path / "cache"
    script.write_text(MODEL)
    reference, cpu = results(run_script(script, SPIKESIM_CACHE=str(cache)))
    assert reference == cpu
    assert int(cpu.split()[0]) > 30
    (made,) = sweeps(cache)
    stamp = next(cache.rglob(made)).stat().st_mtime_ns
    assert results(run_script(script, SPIKESIM_CACHE=str(cache))) == (reference, cpu)
    assert sweeps(cache) == {made}
    assert next(cache.rglob(made)).stat().st_mtime_ns == stamp, "the kernel was written anew"
    script.write_text(edited(MODEL, ("140 - u", "139 - u")))
    reference, changed = results(run_script(script, SPIKESIM_CACHE=str(cache)))
    assert reference == changed != cpu
    assert len(sweeps(cache)) == 2
    script.write_text(MODEL)
    assert results(run_script(script, SPIKESIM_CACHE=str(cache)))[1] == cpu


def test_two_processes_with_an_empty_cache(tmp_path):
    """Both compile at once into the same folder, and give the same spikes."""
    script = tmp_path / "model.py"
    script.write_text(MODEL)
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONWARNINGS": "error", "SPIKESIM_CACHE": str(tmp_path / "new" / "cache")}
    options = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, str(script)], **options) for _ in range(2)]
    found = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert found[0] == found[1]
    assert found[0][1:] == ("", 0)
    assert len(sweeps(tmp_path / "new")) == 1
    assert not list((tmp_path / "new").rglob("*.tmp"))


CACHELESS = edited(MODEL, ("        print(*run(engine))", """        from spikesim.errors import SpikesimError
        try:
            print(*run(engine))
        except SpikesimError as error:
            print(error)"""))  # fmt: skip


@pytest.mark.parametrize("kind", ["a file", "below a file", "cannot be made", "read-only"])
def test_a_cache_that_cannot_be_written(kind, tmp_path):
    """It runs nevertheless, or ends with an error of spikesim that names the folder and $SPIKESIM_CACHE."""
    (tmp_path / "file").write_text("")
    (tmp_path / "fixed").mkdir(mode=0o555)
    if kind == "read-only" and os.access(tmp_path / "fixed", os.W_OK):
        pytest.skip("this user may write everywhere")
    cache = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "cache", "cannot be made": Path("/proc/spikesim/cache"),
             "read-only": tmp_path / "fixed"}[kind]  # fmt: skip
    script = tmp_path / "model.py"
    script.write_text(CACHELESS)
    reference, cpu = results(run_script(script, SPIKESIM_CACHE=str(cache)))
    assert reference == cpu or ("SPIKESIM_CACHE" in cpu and str(cache) in cpu)


VARIANTS = {  # name: changes to the model
    "without a refractory time": [("    t_ref: Any = real(default=0.0)\n", "")],
    "with one variable": [
        ('STATE = ("v", "u")', 'STATE = ("v",)'), ("(v, u, current", "(v, current"), ("140 - u", "140"),
        ("    u = u + h * a * (b * v - u)\n", ""), ("new, u + d if spike else u, spike", "new, spike"),
        ('"v": -65.0, "u": -13.0', '"v": -65.0'), ('"u"', '"v"'),
    ],
    "with three variables": [
        ('STATE = ("v", "u")', 'STATE = ("v", "u", "w")'), ("(v, u, current", "(v, u, w, current"),
        ("u + d if spike else u, spike", "u + d if spike else u, w + v, spike"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_own_models_may_have_any_variables(name, tmp_path):
    """A model needs what `Neuron` says and no more: no refractory time, and as many variables as STATE names."""
    script = tmp_path / "model.py"
    script.write_text(edited(MODEL, *VARIANTS[name]))
    reference, cpu = results(run_script(script))
    assert reference == cpu


REFUSED = {  # name: (changes to the model, what the error says)
    "lambda": ([("return izhikevich_step", "return lambda v, u, *rest: (v, u, False)")], "scalar step"),
    "lambda with a name": (
        [("class Iz", "quiet = lambda v, u, *rest: (v, u, False)\n\n\nclass Iz"), ("return izhikevich_step", "return quiet")],
        "must be a plain function",
    ),
    "built-in": ([("return izhikevich_step", "return max")], "has no source text"),
    "name of its module": ([("def izh", "PEAK = 30.0\n\n\ndef izh"), ("new >= 30", "new >= PEAK")], "PEAK"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_steps_that_cannot_be_compiled_are_refused(name, tmp_path):
    """A step must be a plain function without names of its module; anything else is a KindError, not one of numba's."""
    changes, said = REFUSED[name]
    script = tmp_path / "model.py"
    ending = MODEL.index("if __name__")
    script.write_text(
        edited(MODEL[:ending], *changes)
        + """
from spikesim.errors import KindError
try:
    run("cpu")
except KindError as error:
    print(error)
"""
    )
    done = run_script(script, SPIKESIM_CACHE=str(tmp_path / "cache"))
    assert (done.returncode, done.stderr[-300:]) == (0, "")
    assert said in done.stdout


def test_a_model_typed_at_the_prompt_is_refused_in_words():
    """Without a file there is no source text: the error says to define the step in one."""
    code = (
        MODEL[: MODEL.index("if __name__")]
        + """
from spikesim.errors import KindError
try:
    run("cpu")
except KindError as error:
    print(error)
"""
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr[-300:]) == (0, "")
    assert "define it in a file" in done.stdout


WIRED = """
import numpy as np
import spikesim as sim
from spikesim.compiler import compile_network
assert sim.__file__.startswith({root!r}), sim.__file__
net = sim.Network()
cells = net.population("cells", 50, sim.LIF())
net.project(cells, cells, sim.FixedIndegree(3), weight=1.0, delay=1.0, receptor="exc")
print(compile_network(net, dt=1.0, seed=1).tables[0].targets.tolist())
"""


def test_kernels_are_renewed_when_what_they_call_changes(tmp_path):
    """The kernels that draw synapses call `random.py`; machine code of an older one must not be used."""
    shutil.copytree(ROOT / "spikesim", tmp_path / "spikesim", ignore=shutil.ignore_patterns("__pycache__"))
    script, rng = tmp_path / "wired.py", tmp_path / "spikesim" / "random.py"
    script.write_text(WIRED.format(root=str(tmp_path)))

    def wired():
        done = run_script(script, PYTHONPATH=str(tmp_path))
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    before = wired()
    assert list((tmp_path / "spikesim").rglob("*.nbc")), "nothing was kept"
    assert wired() == before
    rng.write_text(edited(rng.read_text(), ("0xD2511F53", "0xD2511F55")))
    assert wired() != before
