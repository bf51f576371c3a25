"""Chip images in files: what is read is what was written, and what is not sound is refused."""

from dataclasses import fields, replace

import numpy as np
import pytest
from typer.testing import CliRunner

import spikesim as sim
from spikesim.cli import app
from spikesim.description import same
from spikesim.errors import FileFormatError
from spikesim.hardware import map_to
from spikesim.hardware.loihi.image import ChipImage


def network():
    rng = np.random.default_rng(0)
    net = sim.Network()
    source = net.population("in", 10, sim.Poisson(rate=300.0))
    cells = net.population("cells", 40, sim.LoihiLIF(du=300.0, vth=40.0))
    trains = net.population("trains", 3, sim.SpikeTrains([1.0, 4.0, 2.0], [0, 1, 2], [7, -3, 2**30]))
    net.project(trains, cells, sim.PairList([0, 1, 2], [3, 5, 7]), weight=1.0, delay=1.0)
    net.project(source, cells, sim.FixedProbability(0.5), weight=20.0, delay=2.0)
    net.project(cells, cells, sim.PairList(rng.integers(0, 40, 99), rng.integers(0, 40, 99)), weight=-4.0, delay=1.0)
    net.record(cells)
    return net


@pytest.fixture(scope="module")
def image():
    return map_to(network(), "loihi2", cores=np.arange(40) // 14, compare=False)


def test_round_trip(image, tmp_path):
    image.save(tmp_path / "image.h5")
    found = ChipImage.load(tmp_path / "image.h5")
    for entry in fields(image):
        if entry.name not in ("report", "probes"):
            assert same(getattr(found, entry.name), getattr(image, entry.name)), entry.name
    assert found.probes == image.probes
    spikes, again = (each.run(50, seed=2).spikes["cells"] for each in (image, found))
    assert len(spikes) > 20
    np.testing.assert_array_equal(spikes.times, again.times)


def spoilt(image, name, change):
    array = getattr(image, name).copy()
    change(array)
    return replace(image, **{name: array})


def put(index, value):
    return lambda array: array.__setitem__(index, value)


@pytest.mark.parametrize(("name", "change", "message"), [
    ("axon_list", put(0, 10**6), "axon_list lie outside"),
    ("axon_list", put(0, -1), "axon_list lie outside"),
    ("routes", put(-1, 10**9), "routes lie outside"),
    ("route_starts", put(3, 10**6), "route_starts do not ascend"),
    ("core_starts", put(-1, 7), "core_starts do not"),
    ("list_starts", put(1, 10**6), "list_starts do not ascend"),
    ("run_starts", put(-1, 5), "run_starts do not"),
    ("run_delay", put(0, 200), "run_delay lie outside"),
    ("run_port", put(0, 99), "run_port lie outside"),
    ("targets", put(0, 10**6), "targets lie outside their core"),
    ("axon_base", put(0, -5), "targets lie outside their core"),
    ("weights", put(0, 300), "weights lie outside"),
    ("port_lane", put(0, 3), "port_lane lie outside"),
    ("neuron", put(0, 12), "neuron does not name each neuron once"),
    ("lanes", put((0, 0), 12), "lanes lie outside"),
    ("train_sizes", put(1, 0), "train_sizes are 0"),
    ("rates", put(0, np.nan), "rates are not 0 to 1000 Hz"),
])  # fmt: skip
def test_unsound_images_are_refused(image, tmp_path, name, change, message):
    spoilt(image, name, change).save(tmp_path / "image.h5")
    with pytest.raises(FileFormatError, match=f"does not hold a sound chip image: {message}"):
        ChipImage.load(tmp_path / "image.h5")


def test_other_faults(image, tmp_path):
    for changed, message in ((replace(image, chip="loihi9"), "no chip 'loihi9'"), (replace(image, names=("in", "in")), "no distinct texts"),
                             (replace(image, cells={}), "other fields"),
                             (replace(image, train_sizes=image.train_sizes.astype(np.int64)), "train_sizes is no array of int32"),
                             (replace(image, train_sizes=image.train_sizes[:2]), "trains differ in number"),
                             (replace(image, bits=image.bits.astype(float)), "no array of int64")):  # fmt: skip
        changed.save(tmp_path / "image.h5")
        with pytest.raises(FileFormatError, match=message):
            ChipImage.load(tmp_path / "image.h5")
    network().save(tmp_path / "network.h5")
    with pytest.raises(FileFormatError, match="expected a loihi_image, found a network"):
        ChipImage.load(tmp_path / "network.h5")


def test_command_line(tmp_path):
    """`map` writes image and page, `run` runs the image; float networks are quantised on the way."""
    net = sim.Network()
    cells = net.population("cells", 30, sim.LIF(v_rest=-70.0, v_reset=-70.0, i_e=600.0, receptors={"in": sim.ExponentialCurrent(tau=3.0)}))
    net.project(cells, cells, sim.FixedIndegree(5), weight=20.0, delay=1.0)
    net.record(cells)
    net.save(tmp_path / "net.h5")
    run = CliRunner().invoke
    files = {name: str(tmp_path / name) for name in ("net.h5", "image.h5", "page.html", "out.h5")}
    done = run(app, ["map", files["net.h5"], "--chip", "loihi1", "--dt", "1", "--out", files["image.h5"], "--report", files["page.html"]])
    assert done.exit_code == 0, done.output
    assert "quantised to steps of 1 ms" in done.output and "loihi1: 1 cores" in done.output
    assert "base64" in (tmp_path / "page.html").read_text()
    done = run(app, ["run", files["image.h5"], "--time", "200", "--out", files["out.h5"]])
    assert done.exit_code == 0, done.output
    assert "cells" in done.output
    assert len(sim.Recording.load(files["out.h5"]).spikes["cells"]) > 50
