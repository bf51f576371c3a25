"""`spikesim zoo`: the table, the file, the pages; what fails stands in its row, what is done survives Ctrl-C."""

import json
import math
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from spikesim import zoo_table
from spikesim.cli import app
from spikesim.errors import DescriptionError, NameUnknownError
from spikesim.models import zoo

FAST = ("perceptron", "mlp_regression")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Trainings of one epoch, which need no cache."""
    learned = zoo.trained
    for name in FAST:
        monkeypatch.setitem(zoo.ZOO, name, replace(zoo.ZOO[name], training=zoo.ZOO[name].training | {"epochs": 1}))
    monkeypatch.setattr(zoo, "trained", lambda name, **given: learned(name, **(given | {"cache": False})))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(*arguments):
    return CliRunner().invoke(app, ["zoo", *map(str, arguments)])


def rows_of(path):
    return {row["model"]: row for row in json.loads(path.read_text())["rows"]}


def test_the_table_the_file_and_the_pages(tmp_path):
    done = run(*FAST, "--images", 40, "--steps", 16, "--json", tmp_path / "zoo.json", "--report", tmp_path / "pages")
    assert done.exit_code == 0
    assert all(word in done.output for word in (*FAST, "SNN 4", "SNN 8", "SNN 16", "settled", "ops/MACs"))
    assert "SNN 32" not in done.output
    rows = rows_of(tmp_path / "zoo.json")
    assert set(rows) == set(FAST)
    for row in rows.values():
        assert row["samples"] == 40
        assert set(row["snn"]) == {"4", "8", "16"}
        assert abs(row["settled"] - row["ann"]) < 1e-3 and row["settled_error"] < 1e-4 and row["off_quantised"] < 1e-8
        assert row["error"] < 0.1 and row["analog"] == 0
    assert rows["perceptron"]["spikes"] == 0.0 < rows["mlp_regression"]["spikes"]
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == sorted(f"{name}.html" for name in FAST)


def test_metrics_are_those_of_the_zoo():
    """The module's own score stands in the row, by the same code as that of the spikes."""
    (row,) = zoo_table.zoo_table(["mlp_regression"], everything=False, steps=4, burst=4, images=30, json_path=None, reports=None)
    assert row.ann == pytest.approx(zoo.score("mlp_regression", zoo.responses(zoo.trained("mlp_regression")), samples=30), abs=1e-6)
    assert row.metric == "R2"


def test_a_failure_stands_in_its_row_and_does_not_stop_the_others(monkeypatch, tmp_path):
    def broken():
        raise OSError("no digits [here]")

    monkeypatch.setitem(zoo.ZOO, "mlp", replace(zoo.ZOO["mlp"], build=broken))
    done = run("mlp", "perceptron", "--images", 20, "--json", tmp_path / "zoo.json")
    assert done.exit_code == 1
    assert "mlp: OSError: no digits [here]" in done.output
    rows = rows_of(tmp_path / "zoo.json")
    assert rows["mlp"]["failure"] == "OSError: no digits [here]" and rows["mlp"]["ann"] is None
    assert rows["perceptron"]["failure"] is None and rows["perceptron"]["ann"] > 0.5


def test_ctrl_c_keeps_what_is_done(monkeypatch, tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setitem(zoo.ZOO, "mlp", replace(zoo.ZOO["mlp"], build=interrupted))
    done = run("perceptron", "mlp", "--images", 20, "--json", tmp_path / "zoo.json")
    assert done.exit_code != 0
    assert "perceptron" in done.output
    assert list(rows_of(tmp_path / "zoo.json")) == ["perceptron"]


def test_the_slow_model_is_run_by_name_or_with_all(monkeypatch):
    seen = []
    monkeypatch.setattr(zoo_table, "_row", lambda name, *rest: seen.append(name) or zoo_table.Row(name, "", "", snn=dict.fromkeys(
        (4, 8, 32, 64), math.nan)))  # fmt: skip
    assert [run(*given).exit_code for given in ((), ("--all",), ("fashion_resnet20",))] == [0, 0, 0]
    assert seen.count("fashion_resnet20") == 2
    assert len(seen) == 2 * len(zoo.ZOO)


def test_what_is_wrong_is_told_before_anything_is_trained():
    given = {"everything": False, "steps": 4, "burst": 1, "images": 3, "json_path": None, "reports": None}
    with pytest.raises(NameUnknownError, match="did you mean 'resnet'"):
        zoo_table.zoo_table(["perceptron", "resnett"], **given)
    for key in ("steps", "burst", "images"):
        with pytest.raises(DescriptionError, match=f"zoo: {key}: expected at least 1, got 0"):
            zoo_table.zoo_table(["perceptron"], **(given | {key: 0}))
