"""The examples and the README's first snippet run as they are written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(ROOT.glob("examples/[0-9][0-9]_*.py"))
PICTURE = b"\x89PNG\r\n\x1a\n"
PRINTED = {  # example: what its output must say
    "01_balanced_network": [r"Network: 4,000 neurons", r"^exc: [1-9][\d.]* Hz, CV of intervals \d\.\d+$", r"two threads: the same spikes$"],
    "02_digits": [r"^relu2 +IF +\(32, 4, 4\) +73,728", r"^ANN 9\d\.\d %$", r"^SNN after 16 steps: 9\d\.\d %$",
                  r"synaptic operations an image$"],
    "06_convert_resnet": [r"^nothing stayed analog$", r"^At most 4 spikes a neuron and step$", r"^Signed spikes settle after \d+ steps, 9"],
    "03_truenorth_digits": [r"^TrueNorth: [1-6]?\d cores", r"^votes in torch, on the engine and on the chip: the same$",
                            r"held-out digits: 9[5-9]\.\d % right, 3 ticks each$"],
    "04_truenorth_edges": [r"^edges\.sum: [\d,]+ spikes, the same as on the engine$", r"^pooled\.pool: [\d,]+ spikes, the same as"],
    "05_truenorth_chip": [r"^ChipImage: 4,096 cores", r"^[\d,]+ ticks a second on \d threads", r"^power by events: \d+ mW$"],
    "07_digits_on_loihi": [r"soft reset, two compartments", r"^float SNN +450 +9\d\.\d % +(9\d|100)\.\d % +-$",
                           r"^8-bit engine +450 +9\d\.\d %", r"^emulator +450 .* 450 of 450$", r"^one image: .* uJ"],
    "08_balanced_network_on_loihi": [r"^exc: [\d,]+ spikes on the chip, the same on the engine$", r"^inh: .*, the same on the engine$"],
    "09_many_chips": [r"cores on 3 chips", r"spikes, the same on 3 chips and on the engine$"],
    "10_stdp_on_loihi": [r"learning: 'learning', 81 synapses", r"^farthest from the window: [0-4]\.\d$"],
}  # fmt: skip


def run_python(*arguments, cwd):
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300,
                          check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_there_are_examples():
    """They are numbered from 01 without a gap."""
    assert [path.name[:2] for path in EXAMPLES] == [f"{k:02d}" for k in range(1, len(EXAMPLES) + 1)]
    assert {path.stem for path in EXAMPLES} >= PRINTED.keys()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, tmp_path):
    """It has 60 lines at most and a citation on top, runs without a warning anywhere, and prints what it promises."""
    text = path.read_text()
    assert text.count("\n") <= 60
    assert re.match(r'""".*?\(?\d{4}\)?.*?"""', text, re.DOTALL), "no citation"
    printed = run_python(path, cwd=tmp_path)
    for pattern in PRINTED.get(path.stem, [r"\S"]):
        assert re.search(pattern, printed, re.MULTILINE), (pattern, printed)
    assert all(picture.read_bytes().startswith(PICTURE) for picture in tmp_path.glob("*.png"))


def test_readme_snippet(tmp_path):
    """The README's first Python runs as written: it prints the network and writes a raster, a recording and a state."""
    snippet = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE).group(1)
    (tmp_path / "snippet.py").write_text(snippet)
    printed = run_python("snippet.py", cwd=tmp_path)
    assert "Network: 4,000 neurons in 2 populations" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raster.png", "run.h5", "snippet.py", "state.h5"]
    assert (tmp_path / "raster.png").read_bytes().startswith(PICTURE)
    code = """import spikesim as sim
recording = sim.Recording.load("run.h5")
print(recording.stop, len(recording.spikes["exc"]) > 1000, sim.Simulation.load("state.h5").time)"""
    assert run_python("-c", code, cwd=tmp_path).split() == ["1000.0", "True", "1000.0"]
