"""The command line, run as a user runs it: each command in a process of its own."""

import json
import os
import re
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import spikesim as sim
from spikesim.benchmarks import BENCHMARKS
from spikesim.version import VERSION

COMMANDS = ("demo", "run", "map", "bench", "zoo", "info")


def spikesim(*arguments, cwd, **variables):
    command = [sys.executable, "-m", "spikesim", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "160", "PYTHONWARNINGS": "error"} | variables
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def network():
    net = sim.Network()
    noise = net.population("noise", 20, sim.Poisson(rate=200.0))
    cells = net.population("cells", 30, sim.LIF(i_e=300.0), initial={"v": sim.Uniform(-70.0, -55.0)})
    net.project(noise, cells, sim.FixedIndegree(5), weight=300.0, delay=sim.Uniform(0.5, 3.0), receptor="exc")
    net.project(cells, cells, sim.FixedIndegree(5), weight=-100.0, delay=2.0, receptor="inh")
    net.record(cells)
    net.record(cells[:3], "v", every=1.0)
    net.record(noise, "counts")
    return net


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a network, a simulation after 20 ms, a recording, and files that are none of these."""
    made = tmp_path_factory.mktemp("cli")
    network().save(made / "net.h5")
    simulation = sim.Simulation(network(), dt=0.1, seed=3, precision="float64")
    simulation.run(20.0).save(made / "recording.h5")
    simulation.save(made / "simulation.h5")
    (made / "junk.h5").write_text("no HDF5 at all")
    (made / "cut.h5").write_bytes((made / "net.h5").read_bytes()[:2000])
    (made / "folder").mkdir()
    return made


def assert_good(done):
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


def test_help_lists_the_commands_at_once(tmp_path):
    """`--help` names every command in less than half a second (thrice that here, for a busy machine), the best of three."""
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        done = spikesim("--help", cwd=tmp_path)
        taken.append(time.perf_counter() - started)
        assert_good(done)
        assert all(re.search(rf"^\W*{command}\b", done.stdout, re.MULTILINE) for command in COMMANDS)
    assert min(taken) < 1.5


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, tmp_path):
    """Every option of every command is explained."""
    done = spikesim(command, "--help", cwd=tmp_path)
    assert_good(done)
    options = [line for line in done.stdout.splitlines() if re.search(r"--\w", line) and "Usage" not in line]
    assert options
    assert all(re.search(r"[A-Za-z0-9]{2,} [a-z]", line) for line in options), options


def test_info_prints_versions_and_the_cache(tmp_path):
    """`info` tells what results depend on, and where kernels are kept."""
    done = spikesim("info", cwd=tmp_path, SPIKESIM_CACHE=str(tmp_path / "here"))
    assert_good(done)
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
    assert lines["spikesim"] == VERSION
    assert lines["python"] == ".".join(map(str, sys.version_info[:3]))
    assert lines["numpy"] == np.__version__
    assert lines["engines"].startswith("cpu, reference")
    assert lines["kernels"].startswith(str(tmp_path / "here"))
    assert "cores" in lines["machine"]


# ---- run -------------------------------------------------------------------------------------------------------------


def arrays(recording):
    kinds = (recording.spikes, recording.traces, recording.counts)
    return [np.asarray(value) for kind in kinds for entry in kind.values() for value in vars(entry).values()]


def assert_same(found, wanted):
    assert (found.start, found.stop) == (wanted.start, wanted.stop)
    for mine, other in zip(arrays(found), arrays(wanted), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_run_a_network(folder):
    """`run` prints the network and its rates, and writes the recording that the library gives for dt and seed."""
    done = spikesim("run", "net.h5", "--time", 30, "--dt", 0.2, "--seed", 9, "--threads", 2, "--out", "one.h5", cwd=folder)
    assert_good(done)
    wanted = sim.Simulation(network(), dt=0.2, seed=9).run(30.0)
    assert str(network()) in done.stdout
    for name in ("cells", "noise"):
        assert re.search(rf"^ +{name} +{wanted.rate(name):.2f} Hz", done.stdout, re.MULTILINE), done.stdout
    assert_same(sim.Recording.load(folder / "one.h5"), wanted)


def test_run_on_and_on(folder):
    """A saved simulation goes on where it was, twice, with any engine, as if it had never stopped."""
    assert_good(spikesim("run", "simulation.h5", "--time", 15, "--out", "a.h5", "--state", "b.h5", cwd=folder))
    assert_good(spikesim("run", "b.h5", "--time", 10, "--engine", "reference", "--out", "c.h5", cwd=folder))
    straight = sim.Simulation(network(), dt=0.1, seed=3, precision="float64")
    straight.run(20.0)
    for name, duration in (("a.h5", 15.0), ("c.h5", 10.0)):
        assert_same(sim.Recording.load(folder / name), straight.run(duration))
    assert len(sim.Recording.load(folder / "c.h5").spikes["cells"]) > 0


def test_run_of_a_network_without_probes(folder):
    """Where nothing is recorded, that is said."""
    net = sim.Network()
    net.population("cells", 2, sim.LIF())
    net.save(folder / "silent.h5")
    done = spikesim("run", "silent.h5", "--time", 1, cwd=folder)
    assert_good(done)
    assert "no spikes were recorded" in done.stdout


# ---- what goes wrong -------------------------------------------------------------------------------------------------

BENCH = ("bench", "cuba", "--scale", "0.1", "--time", "1", "--repeats", "1")
BAD = {  # name: (arguments, exit code, what is said)
    "missing file": (("run", "nope.h5"), 1, "nope.h5: there is no such file"),
    "no HDF5": (("run", "junk.h5"), 1, "junk.h5: expected an HDF5 file"),
    "truncated file": (("run", "cut.h5"), 1, "cut.h5: "),
    "wrong kind": (("run", "recording.h5"), 1, "recording.h5: expected a network, found a recording"),
    "directory": (("run", "folder"), 1, "folder: expected a file, found a directory"),
    "negative time": (("run", "net.h5", "--time", "-1"), 1, "duration: expected at least 0 ms, got -1"),
    "time as text": (("run", "net.h5", "--time", "long"), 2, "--time"),
    "time off the grid": (("run", "net.h5", "--time", "1.05"), 1, "not a multiple of the time step of 0.1 ms"),
    "no time step": (("run", "net.h5", "--dt", "0"), 1, "dt: expected more than 0 ms, got 0"),
    "unknown engine": (("run", "net.h5", "--engine", "cpuu"), 1, "did you mean 'cpu'?"),
    "recording into no folder": (("run", "net.h5", "--time", "1", "--out", "nowhere/x.h5"), 1, "nowhere"),
    "recording onto a folder": (("run", "net.h5", "--time", "1", "--out", "folder"), 1, "folder"),
    "state onto a folder": (("run", "net.h5", "--time", "1", "--state", "folder"), 1, "folder"),
    "unknown command": (("benhc",), 2, "benhc"),
    "unknown option": (("run", "net.h5", "--tme", "1"), 2, "--tme"),
    "no file given": (("run",), 2, "file"),
    "unknown benchmark": (("bench", "cubaa"), 1, "unknown benchmark 'cubaa'; did you mean 'cuba'? known: brunel, coba, cuba"),
    "benchmark of no neurons": (("bench", "cuba", "--scale", "0"), 1, "scale: expected more than 0"),
    "benchmark of nan neurons": (("bench", "cuba", "--scale", "nan"), 1, "scale"),
    "benchmark without end": (("bench", "cuba", "--scale", "inf"), 1, "scale"),
    "benchmark of fixed size": (("bench", "feedforward", "--scale", "2"), 1, "scale 2 is too large for this network, expected at most 1"),
    "benchmark without batches": ((*BENCH, "--batch", "2"), 1, "cuba does not work on samples"),
    "benchmark of an empty batch": (("bench", "feedforward", "--batch", "0"), 1, "at least 1 sample"),
    "profile of a batch": (("bench", "feedforward", "--batch", "2", "--profile"), 1, "not profiled"),
    "benchmark of no time": ((*BENCH[:4], "--time", "0"), 1, "time|duration"),
    "figures onto a folder": (("bench", "microcircuit", "--json", "folder"), 1, "folder: expected the name of a file"),
    "figures into no folder": (("bench", "microcircuit", "--json", "nowhere/x.json"), 1, "nowhere/x.json: there is no folder"),
    "table into no folder": (("zoo", "--all", "--json", "nowhere/x.json"), 1, "nowhere/x.json: there is no folder"),
    "image into no folder": (("map", "net.h5", "--chip", "loihi1", "--out", "nowhere/x.h5"), 1, "nowhere/x.h5: there is no folder"),
    "pictures onto a file": (("demo", "--out", "junk.h5"), 1, "junk.h5"),
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(folder):
    """What became of all bad calls, made two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(BAD, pool.map(lambda row: spikesim(*row[0], cwd=folder), BAD.values()), strict=True))


@pytest.mark.parametrize("name", BAD)
def test_mistakes_end_in_one_sentence(name, outcomes):
    """Exit code 1 and one line that names the culprit, or 2 and the usage; never a traceback."""
    _, code, said = BAD[name]
    done = outcomes[name]
    assert "Traceback" not in done.stderr, done.stderr.splitlines()[-1]
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    if code == 1:
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("spikesim: ")
        assert said in lines[0] or re.search(said, lines[0])
    else:
        assert lines[0].startswith("Usage: ")
        assert said in done.stderr


def test_a_failed_run_leaves_no_debris(outcomes, folder):
    """Whatever failed has left no half-written files."""
    assert not [path for path in folder.rglob("*") if path.suffix == ".tmp"]


# ---- bench and demo --------------------------------------------------------------------------------------------------

FIGURES = {"benchmark": str, "scale": float, "threads": int, "precision": str, "batch": int, "procedural": bool, "weight_bits": type(None),
           "build_time_s": float, "first_run_s": float, "neurons": int, "synapses": int, "wall_per_model_time": float,
           "wall_per_model_time_min": float, "wall_per_model_time_max": float, "wall_per_model_time_update": float,
           "wall_per_model_time_deliver": float, "wall_per_model_time_other": float, "synaptic_events_per_s": float, "spikes": int,
           "rate_hz": float, "peak_memory_bytes": int, "spike_hash": str, "versions": dict}  # fmt: skip


def test_bench_writes_its_figures(tmp_path):
    """All figures are there and fit together; threads change the times, not the spikes."""
    found = []
    for threads in (1, 2):
        path = tmp_path / f"{threads}.json"
        done = spikesim("bench", "cuba", "--scale", 0.1, "--time", 50, "--repeats", 2, "--threads", threads, "--json", path, cwd=tmp_path)
        assert_good(done)
        found.append(json.loads(path.read_text()))
        assert all(key in done.stdout for key in FIGURES)
    for threads, figures in enumerate(found, start=1):
        assert {key: type(value) for key, value in figures.items()} == FIGURES
        assert (figures["benchmark"], figures["scale"], figures["threads"], figures["neurons"]) == ("cuba", 0.1, threads, 400)
        assert 0.0 < figures["wall_per_model_time_min"] <= figures["wall_per_model_time"] <= figures["wall_per_model_time_max"]
        parts = [figures[f"wall_per_model_time_{phase}"] for phase in ("update", "deliver", "other")]
        assert min(parts) > 0.0
        assert figures["wall_per_model_time_min"] * 0.9 < sum(parts) < figures["wall_per_model_time_max"] * 1.1
        assert figures["rate_hz"] == pytest.approx(figures["spikes"] / (400 * 0.1))
        assert figures["spikes"] > 0
        assert abs(figures["synapses"] - 400 * 80) < 6 * 180
        assert figures["peak_memory_bytes"] > 2e7
        assert figures["versions"]["spikesim"] == VERSION
    for key in ("spike_hash", "spikes", "synapses", "rate_hz"):
        assert found[0][key] == found[1][key]


@pytest.mark.parametrize(("name", "scale", "neurons", "synapses", "time"), [
    ("brunel", 0.04, 500, 500 * 50, 100), ("feedforward", 1, 2842, 784 * 1024 + 1024 * 1034, 50)
])  # fmt: skip
def test_bench_of_the_other_networks(name, scale, neurons, synapses, time, tmp_path):
    """They run at their own time step; events are counted in tables and in dense layers."""
    done = spikesim("bench", name, "--scale", scale, "--time", time, "--repeats", 1, "--json", tmp_path / "x.json", cwd=tmp_path)
    assert_good(done)
    figures = json.loads((tmp_path / "x.json").read_text())
    assert (figures["neurons"], figures["synapses"]) == (neurons, synapses)
    events = figures["synaptic_events_per_s"] * figures["wall_per_model_time"] * time * 1e-3
    per_spike = {"brunel": (50.0, 50.0), "feedforward": (1024 * 0.5, 1024.0)}[name]  # synapses a spike passes on average
    assert per_spike[0] * 0.999 <= events / figures["spikes"] <= per_spike[1] * 1.001


def test_bench_profile(tmp_path):
    """The phases add up to the whole; each has its work, and no work is faster than the machine is found to be, within noise."""
    done = spikesim("bench", "microcircuit", "--scale", 0.05, "--time", 100, "--repeats", 1, "--threads", 2, "--profile", "--json",
                    tmp_path / "x.json", cwd=tmp_path)  # fmt: skip
    assert_good(done)
    figures = json.loads((tmp_path / "x.json").read_text())
    *phases, limits = figures["profile"]
    assert [row["phase"] for row in phases] == ["stimuli", "deliver", "update", "wait", "other"]
    assert sum(row["wall_per_model_time"] for row in phases) == pytest.approx(figures["wall_per_model_time"])
    for row in phases[:3]:
        assert row["ns_per_unit_and_core"] > 0.3 * row["limit_ns"] > 0.0
        assert row["us_per_step"] == pytest.approx(100 * row["wall_per_model_time"])
    assert limits["read_bytes_per_s"] > 1e8
    assert "where the time goes" in done.stdout


def test_bench_without_stored_synapses(tmp_path):
    """The same spikes and events, but the rows are drawn."""
    found = []
    for flag in ([], ["--procedural"]):
        done = spikesim("bench", "cuba", "--scale", 0.1, "--time", 50, "--repeats", 1, *flag, "--json", tmp_path / "x.json", cwd=tmp_path)
        assert_good(done)
        found.append(json.loads((tmp_path / "x.json").read_text()))
    assert [figures["procedural"] for figures in found] == [False, True]
    for key in ("spike_hash", "synapses", "spikes"):
        assert found[0][key] == found[1][key]


def test_bench_of_a_batch(tmp_path):
    """Samples side by side are as many seconds of model time, and each has random numbers of its own."""
    found = {}
    for batch in (1, 4):
        done = spikesim(
            "bench", "feedforward", "--time", 800, "--repeats", 1, "--batch", batch, "--json", tmp_path / "x.json", cwd=tmp_path
        )
        assert_good(done)
        found[batch] = json.loads((tmp_path / "x.json").read_text())
    assert found[4]["batch"] == 4
    assert found[4]["rate_hz"] == pytest.approx(found[1]["rate_hz"], rel=0.05)
    assert "wall_per_model_time_update" not in found[4]


@pytest.mark.parametrize(("scale", "synapses"), [(0.1, 80), (1, 80), (10, 800), (25, 1000)])
def test_balanced_networks_grow_to_a_thousand_synapses(scale, synapses):
    """2 % connectivity at 4,000 neurons and above, 1,000 synapses a neuron at 100,000, and never fewer than 80."""
    for name in ("cuba", "coba"):
        net = BENCHMARKS[name].build(scale)
        found = [projection.rule.p * 4000 * scale for projection in net.projections.values()]
        assert found == pytest.approx([synapses] * 4)


def assert_picture(path, least):
    """A PNG of at least so many bytes and of a size that can be looked at."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert 600 < width < 4000
    assert 400 < height < 4000
    assert len(content) > least


def test_demo(tmp_path):
    """The demo trains, converts, compares, runs the balanced network and saves two pictures, within half a minute."""
    started = time.perf_counter()
    done = spikesim("demo", "--out", tmp_path / "deep" / "pictures", cwd=tmp_path)
    assert time.perf_counter() - started < 60.0
    assert_good(done)
    words = "450 held-out digits|network|steps|accuracy|spikes|synaptic ops|MACs|ANN|SNN|91,776|9,216|Balanced network|4,000 neurons"
    assert [word for word in words.split("|") if word not in done.stdout] == []
    assert [int(steps) for steps in re.findall(r"SNN\W+(\d+) ", done.stdout)] == [4, 8, 16, 32]
    shares = [float(share) for share in re.findall(r"([\d.]+) %", done.stdout)[:5]]
    assert shares[0] > 95.0
    assert shares[4] > shares[0] - 2.0
    assert re.findall(r"^ +(exc|inh) +[\d.]+ Hz, CV of intervals [\d.]+$", done.stdout, re.MULTILINE) == ["exc", "inh"]
    assert sorted(path.name for path in (tmp_path / "deep" / "pictures").iterdir()) == ["accuracy.png", "raster.png"]
    assert_picture(tmp_path / "deep" / "pictures" / "accuracy.png", least=10_000)
    assert_picture(tmp_path / "deep" / "pictures" / "raster.png", least=50_000)


def test_map_and_run_an_image(tmp_path):
    """A network goes onto the chip and its image runs, with the same spikes as the network."""
    net = sim.Network()
    noise = net.population("noise", 20, sim.Poisson(rate=200.0))
    cells = net.population("cells", 30, sim.IF(v_threshold=5.0))
    net.project(noise, cells, sim.AllToAll(), weight=1.0, delay=1.0)
    net.record(cells)
    net.save(tmp_path / "net.h5")
    mapped = spikesim("map", "net.h5", "--chip", "truenorth", "--out", "image.h5", cwd=tmp_path)
    assert_good(mapped)
    assert re.search(r"TrueNorth: 1 cores", mapped.stdout) and "image: image.h5" in mapped.stdout
    ran = spikesim("run", "image.h5", "--time", "100", "--seed", "4", "--out", "spikes.h5", cwd=tmp_path)
    assert_good(ran)
    assert re.search(r"power by events: \S+ mW", ran.stdout) and re.search(r"cells +\d+\.\d+ Hz", ran.stdout)
    expected = sim.Simulation(net, dt=1.0, seed=4).run(100.0, progress=False).spikes["cells"]
    found = sim.Recording.load(tmp_path / "spikes.h5").spikes["cells"]
    assert np.array_equal(found.ids, expected.ids) and np.array_equal(found.times, expected.times) and len(found) > 100
    refused = spikesim("run", "image.h5", "--engine", "cpu", cwd=tmp_path)
    assert (refused.returncode, refused.stderr) == (1, "spikesim: run: a chip image is run by its emulator, without --engine and --state\n")
    unknown = spikesim("map", "net.h5", "--chip", "abacus", cwd=tmp_path)
    assert unknown.returncode == 1 and "unknown chip 'abacus'" in unknown.stderr
