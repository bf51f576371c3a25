"""The worker that runs Lava: whatever happens, the error is clear and no process and no shared memory is left."""

import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from spikesim.errors import BackendError
from spikesim.hardware.loihi import lava
from spikesim.hardware.loihi.lava_network import LavaCells, LavaLinks, LavaNetwork

needs_lava = pytest.mark.skipif(find_spec("lava") is None, reason="Lava is not installed")

ROOT = Path(__file__).parents[2]


def network(size=4, source=0):
    """A few neurons, one synapse."""
    same = {"du": 100, "dv": 100, "vth": 10, "bias_mant": 50, "bias_exp": 2, "u": 0, "v": 0}
    cells = LavaCells("lif", size, {name: np.full(size, value) for name, value in same.items()})
    return LavaNetwork((cells,), (LavaLinks(0, 0, np.array([2]), np.array([source]), np.array([1])),))


def python(code):
    return [sys.executable, "-c", code]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def segments(pid):
    """The shared memory that a process has open."""
    try:
        found = [line.split()[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "/dev/shm/" in line]
    except FileNotFoundError:
        return set()
    return {path for path in found if Path(path).exists()}


@pytest.mark.parametrize(("code", "limits", "message"), [
    ("import time; time.sleep(60)", (60.0, 0.4), r"no sign of life for 0\.4 s"),
    ("import time\nwhile True: print(1, flush=True); time.sleep(0.05)", (0.6, 30.0), r"not done after 0\.6 s, the deadline"),
    ("import sys; sys.stderr.write('it broke\\n'); sys.exit(3)", (60.0, 30.0), r"(?s)ended with code 3.*it broke"),
    ("import os; os.kill(os.getpid(), 9)", (60.0, 30.0), r"ended with code -9"),
    ("import os; os.abort()", (60.0, 30.0), r"ended with code -6"),
    ("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)", (60.0, 0.5), r"no sign of life"),
])  # fmt: skip
def test_bad_workers(code, limits, message, monkeypatch):
    monkeypatch.setattr(lava, "GRACE", 0.5)
    with pytest.raises(BackendError, match=message):
        lava._supervise(python(code), *limits)


def test_children_of_a_hanging_worker_are_ended(tmp_path):
    code = f"import os, time\npid = os.fork()\nif pid: open({str(tmp_path / 'pid')!r}, 'w').write(str(pid))\ntime.sleep(60)"
    with pytest.raises(BackendError, match="no sign of life"):
        lava._supervise(python(code), 60.0, 1.0)
    assert not alive(int((tmp_path / "pid").read_text()))


def test_missing_lava_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(lava, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"(?s)not installed.*pip install --no-deps.*lava-nc==0\.10\.0.*pip install networkx asteval"):
        lava.run_lava([network()], 5)


@needs_lava
def test_several_networks_and_errors_of_lava():
    """Results come in the order of the networks; an error inside Lava comes with its own words."""
    one, two = lava.run_lava([network(), network(7)], 20)
    assert one.spikes[0].shape == (20, 4) and two.v[0].shape == (20, 7)
    assert one.spikes[0].sum() > 0
    with pytest.raises(BackendError, match=r"(?s)Lava: its worker ended with code 1.*index"):
        lava.run_lava([network(source=9)], 20)


@needs_lava
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_or_killed_parent_leaves_nothing(number, tmp_path):
    """After Ctrl-C, and after the death of the parent, the worker and its processes end and free their memory."""
    code = """import signal
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from spikesim.hardware.loihi import lava
from spikesim.hardware.loihi.lava_network import LavaCells, LavaLinks, LavaNetwork
same = {"du": 100, "dv": 100, "vth": 10, "bias_mant": 50, "bias_exp": 2, "u": 0, "v": 0}
cells = LavaCells("lif", 4, {name: np.full(4, value) for name, value in same.items()})
links = (LavaLinks(0, 0, np.array([2]), np.array([0]), np.array([1])),)
started = lava.subprocess.Popen
def popen(*args, **options):
    made = started(*args, **options)
    if options.get("start_new_session"):
        print(made.pid, flush=True)
    return made
lava.subprocess.Popen = popen
lava.run_lava([LavaNetwork((cells,), links)], 200_000)"""
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as parent:
        worker = int(parent.stdout.readline())
        try:
            wait(lambda: len(segments(worker)) > 3)
            memory = segments(worker)
            time.sleep(0.5)
            parent.send_signal(number)
            parent.wait(30.0)
        finally:
            parent.kill()
    wait(lambda: not alive(worker) and not any(Path(path).exists() for path in memory))


def wait(condition):
    until = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
