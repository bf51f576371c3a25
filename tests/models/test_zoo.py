"""The zoo: trained models do what is said of them, metrics agree with scikit-learn's, the cache neither lies nor runs code."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle
from torch import nn

from spikesim.errors import CacheError, DescriptionError, NameUnknownError
from spikesim.models import zoo
from spikesim.models.data import UNLABELLED, digit_paintings
from spikesim.models.dcgan import digits_generator, train_adversarially
from spikesim.models.metrics import METRICS

REACHED = {"perceptron": 0.95, "mlp": 0.96, "mlp_regression": 0.3, "gcn": 0.92, "c3d": 0.97, "resnet": 0.98, "autoencoder": 0.95}


@pytest.fixture(autouse=True)
def _one_thread():
    """More only wait for each other in nets as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKESIM_CACHE", str(tmp_path))


@pytest.mark.parametrize("name", REACHED)
def test_models_learn(name):
    """What the stated training reaches on held-out data."""
    assert zoo.score(name, zoo.responses(zoo.trained(name))) >= REACHED[name]


@pytest.mark.parametrize("name", zoo.ZOO)
def test_every_entry_fits_its_data(name):
    """Settings that the training knows, a metric that exists, and (but for the files of Fashion-MNIST) outputs that suit it."""
    row = zoo.entry(name)
    assert set(row.training) < set(row.settings())
    assert row.metric in METRICS
    if name == "fashion_resnet20":
        return
    task = row.data()
    outputs = zoo.responses(row.build())(task.test_inputs[:20])
    targets = outputs if task.test_targets is None else task.test_targets[:20]
    assert zoo.HeldOut(task.test_inputs[:20], targets, row.metric).score(outputs) <= (math.inf if row.metric == "PSNR" else 1.0)


def test_the_generator_comes_nearer_to_the_digits():
    """Mean and spread of its images, far off before, are near those of the real ones after a few epochs."""
    task = digit_paintings()

    def distance(module):
        images = zoo.responses(module)(task.test_inputs)
        return np.abs(images.mean(axis=0) - task.train_targets.mean(axis=0)).mean(), np.abs(images.std() - task.train_targets.std())

    fresh, taught = digits_generator(), digits_generator()
    told = []
    train_adversarially(taught, None, task.train_targets, epochs=5, progress=lambda epoch, loss: told.append(epoch))
    assert told == [1, 2, 3, 4, 5]
    assert not taught.training
    assert all(after < 0.5 * before for before, after in zip(distance(fresh), distance(taught), strict=True))


def test_the_generator_is_judged_by_its_own_images():
    """The net itself scores infinitely; images off by 0.02 score 40 dB."""
    row = replace(zoo.ZOO["dcgan"], training=dict(epochs=1))
    module = row.learn(row.build(), None, row.data().train_targets, **row.training)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(zoo.ZOO, "dcgan", row)
        held = zoo.held_out("dcgan", samples=9)
    images = zoo.responses(module)(held.inputs)
    assert held.score(images) == math.inf
    assert held.score(images.astype(np.float64) + 0.02) == pytest.approx(40.0, abs=1e-3)


def test_metrics_are_scikit_learns():
    draw = np.random.default_rng(1)
    y, wanted = draw.normal(size=(50, 1)), draw.normal(size=(50, 1))
    assert METRICS["R2"](y, wanted, y) == pytest.approx(oracle.r2_score(wanted, y))
    images, rebuilt, strange = draw.normal(size=(50, 1, 4, 4)), draw.normal(size=(50, 1, 4, 4)), draw.integers(0, 2, 50)
    error = ((images - rebuilt) ** 2).mean(axis=(1, 2, 3))
    assert METRICS["AUROC"](rebuilt, strange, images) == pytest.approx(oracle.roc_auc_score(strange, error))
    logits, labels = draw.normal(size=(50, 7, 3)), draw.integers(0, 3, (50, 7))
    assert METRICS["accuracy"](logits, labels, logits) == oracle.accuracy_score(labels.ravel(), logits.argmax(-1).ravel())
    labels[:25] = UNLABELLED
    assert METRICS["accuracy"](logits, labels, logits) == oracle.accuracy_score(labels[25:].ravel(), logits[25:].argmax(-1).ravel())


@pytest.mark.parametrize(("metric", "shape"), [("accuracy", (5, 3)), ("R2", (4,)), ("AUROC", (4, 2)), ("PSNR", (4,))])
def test_outputs_of_another_shape_are_refused(metric, shape):
    """Broadcasting would turn them into a number that means nothing."""
    targets = np.array([0, 1, 0, 1])[:, None] if metric in ("R2", "PSNR") else np.array([0, 1, 0, 1])
    with pytest.raises(DescriptionError, match="expected one for each held-out target"):
        zoo.HeldOut(np.zeros((4, 3)), targets, metric).score(np.zeros(shape))


def test_outputs_that_are_not_finite_are_refused():
    with pytest.raises(DescriptionError, match="1 of 4 are not finite"):
        zoo.HeldOut(np.zeros((4, 1)), np.ones((4, 1)), "R2").score(np.array([[1.0], [np.nan], [0.0], [0.0]]))


def test_anomalies_need_something_to_differ_from():
    with pytest.raises(DescriptionError, match="got 0 and 3; take more samples"):
        zoo.HeldOut(np.zeros((3, 2)), np.zeros(3), "AUROC").score(np.zeros((3, 2)))


def test_unknown_models_are_named():
    with pytest.raises(NameUnknownError, match="did you mean 'resnet'"):
        zoo.trained("resnett")


def counting(monkeypatch):
    """The regression with a training of one epoch, and a list that grows whenever it is trained."""
    calls = []

    def learn(module, inputs, targets, *, progress=None, **settings):
        calls.append(settings)
        return zoo.train(module, inputs, targets, **settings)

    row = replace(zoo.ZOO["mlp_regression"], training=dict(epochs=1, loss="mse"), learn=learn)
    monkeypatch.setitem(zoo.ZOO, "mlp_regression", row)
    return calls


def same(first, second):
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def files():
    return sorted(zoo.cache_folder().iterdir())


def test_the_second_time_weights_come_from_the_cache(monkeypatch):
    calls = counting(monkeypatch)
    first, second = zoo.trained("mlp_regression"), zoo.trained("mlp_regression")
    assert len(calls) == 1
    assert len(files()) == 1
    assert same(first, second)
    assert not second.training
    assert same(zoo.trained("mlp_regression", cache=False), first)
    assert len(calls) == 2


def test_other_settings_or_another_torch_are_trained_anew(monkeypatch):
    calls = counting(monkeypatch)
    zoo.trained("mlp_regression")
    monkeypatch.setattr(torch, "__version__", "0.0")
    zoo.trained("mlp_regression")
    monkeypatch.setitem(zoo.ZOO, "mlp_regression", replace(zoo.ZOO["mlp_regression"], training=dict(epochs=2, loss="mse")))
    zoo.trained("mlp_regression")
    assert [call["epochs"] for call in calls] == [1, 1, 2]
    assert len(files()) == 3


@pytest.mark.parametrize("content", [b"", b"no weights", "cut", "other weights", "a list", "code"])
def test_a_damaged_file_is_replaced_and_never_executed(monkeypatch, tmp_path, content):
    calls = counting(monkeypatch)
    wanted = zoo.trained("mlp_regression")
    (path,) = files()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        other = wanted.state_dict() | {"output.weight": torch.zeros(3)}
        torch.save({"other weights": other, "a list": [1, 2], "code": Trap(tmp_path / "executed")}[content], path)
    assert same(zoo.trained("mlp_regression"), wanted)
    assert len(calls) == 2
    assert not (tmp_path / "executed").exists()
    zoo.trained("mlp_regression")
    assert len(calls) == 2


class Trap:
    """A pickle that makes a folder when it is opened carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


def test_a_folder_that_cannot_be_written_is_told(monkeypatch, tmp_path):
    """Before the training, which may take long."""
    calls = counting(monkeypatch)
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(CacheError, match="set SPIKESIM_CACHE"):
        zoo.trained("mlp_regression")
    assert not calls


def test_responses_leave_the_mode_alone():
    module = nn.Sequential(nn.Linear(3, 2), nn.Dropout())
    inputs = np.ones((5, 3), dtype=np.float32)
    answered = zoo.responses(module, batch=2)(inputs)
    assert module.training
    assert np.allclose(answered, module[0](torch.ones(3)).detach().numpy())
