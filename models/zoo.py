"""The zoo: each model with the data it learns, how it is trained, and by what it is judged."""

import hashlib
import inspect
import json
import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from spikesim.errors import CacheError, DescriptionError, unknown_name
from spikesim.models import (
    autoencoder,
    bam,
    c3d,
    data,
    dcgan,
    densenet,
    efficientnet,
    gcn,
    lenet,
    mobilenet,
    perceptron,
    resnet,
    senet,
    shufflenet,
    squeezenet,
    vgg,
)
from spikesim.models.metrics import METRICS
from spikesim.models.train import train

EDITION = 1  # of the training code and the data: weights of another one are not used again


@dataclass(frozen=True)
class Entry:
    """A model of the zoo; ``training``: the keywords for ``learn(module, inputs, targets, ...)``; metric: a row of `METRICS`."""

    family: str
    build: Callable[[], nn.Module]
    data: Callable[[], data.Task]
    training: Mapping[str, Any]
    metric: str = "accuracy"
    learn: Callable[..., nn.Module] = field(default=train)

    def settings(self) -> dict[str, Any]:
        """All keywords of the training, those left to their default included."""
        keywords = inspect.signature(self.learn).parameters.values()
        defaults = {p.name: p.default for p in keywords if p.kind is p.KEYWORD_ONLY and p.name != "progress"}
        return {**defaults, **self.training}


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Inputs (n, ...) that a model has not learned from, and the judge of its outputs for them."""

    inputs: np.ndarray
    targets: np.ndarray
    metric: str

    def score(self, outputs: Any) -> float:
        """The metric of outputs (n, ...), one for each input."""
        outputs = np.asarray(outputs, dtype=np.float64)
        if not np.isfinite(outputs).all():
            raise DescriptionError(f"outputs: {np.count_nonzero(~np.isfinite(outputs)):,} of {outputs.size:,} are not finite")
        return METRICS[self.metric](outputs, self.targets, self.inputs)


def _digits() -> data.Task:
    return data.digits().task()


PLAIN = dict(epochs=40, rate=0.01)
CONVOLUTIONS = dict(epochs=15, rate=0.01, schedule="onecycle")
FASHION = dict(epochs=12, batch=128, rate=0.1, optimizer="nesterov", schedule="onecycle", weight_decay=5e-4,
               augmentation="shift and flip", precision="bfloat16", threads=2)  # fmt: skip

ZOO: dict[str, Entry] = {
    "perceptron": Entry("perceptron", perceptron.digits_perceptron, _digits, PLAIN),
    "mlp": Entry("MLP", perceptron.digits_mlp, _digits, PLAIN),
    "mlp_regression": Entry("MLP", perceptron.diabetes_mlp, data.diabetes_progression,
                            dict(epochs=40, rate=0.003, weight_decay=3.0, loss="mse"), "R2"),
    "lenet": Entry("LeNet", lenet.digits_lenet, _digits, PLAIN),
    "vgg": Entry("VGG", vgg.digits_vgg, _digits, CONVOLUTIONS),
    "resnet": Entry("ResNet", resnet.digits_resnet, _digits, CONVOLUTIONS),
    "densenet": Entry("DenseNet", densenet.digits_densenet, _digits, CONVOLUTIONS),
    "mobilenet": Entry("MobileNet", mobilenet.digits_mobilenet, _digits, CONVOLUTIONS),
    "mobilenet_v2": Entry("MobileNet", mobilenet.digits_mobilenet_v2, _digits, CONVOLUTIONS),
    "shufflenet": Entry("ShuffleNet", shufflenet.digits_shufflenet, _digits, CONVOLUTIONS),
    "squeezenet": Entry("SqueezeNet", squeezenet.digits_squeezenet, _digits, CONVOLUTIONS),
    "senet": Entry("SENet", senet.digits_senet, _digits, CONVOLUTIONS),
    "bam": Entry("BAM", bam.digits_bam, _digits, CONVOLUTIONS),
    "efficientnet": Entry("EfficientNet", efficientnet.digits_efficientnet, _digits, CONVOLUTIONS),
    "c3d": Entry("3-D CNN", c3d.digits_c3d, data.digit_volumes, CONVOLUTIONS),
    "autoencoder": Entry("autoencoder", autoencoder.digits_autoencoder, data.digit_anomalies,
                         dict(epochs=40, rate=0.01, schedule="onecycle", loss="mse"), "AUROC"),
    "gcn": Entry("GCN", lambda: gcn.graph_gcn(data.digit_graph().adjacency), lambda: data.digit_graph().task(),
                 dict(epochs=150, batch=1, rate=0.01, weight_decay=5e-4)),
    "dcgan": Entry("DCGAN", dcgan.digits_generator, data.digit_paintings, dict(epochs=25, rate=1e-3), "PSNR", dcgan.train_adversarially),
    "fashion_resnet20": Entry("ResNet", resnet.resnet20, lambda: data.fashion_mnist().task(), FASHION),
}  # fmt: skip


def entry(name: str) -> Entry:
    """The row of the table."""
    if name not in ZOO:
        raise unknown_name("model", name, ZOO, where="zoo")
    return ZOO[name]


def trained(name: str, *, cache: bool = True, progress: Callable[[int, float], None] | None = None) -> nn.Module:
    """The model with its trained weights, in eval mode; trained now, unless an earlier training is in the cache."""
    row = entry(name)
    module = row.build()
    path = _file(name, row, module) if cache else None
    if path is not None and _load(probe := row.build(), path):  # a damaged file may leave some weights behind
        return probe.eval()
    task = row.data()
    row.learn(module, task.train_inputs, task.train_targets, progress=progress, **row.training)
    if path is not None:
        _save(module, path)
    return module


def held_out(name: str, *, samples: int | None = None, cache: bool = True) -> HeldOut:
    """What the model is judged by; samples: only so many of the held-out inputs."""
    row = entry(name)
    task = row.data()
    inputs = task.test_inputs[:samples]
    targets = responses(trained(name, cache=cache))(inputs) if task.test_targets is None else task.test_targets[:samples]
    return HeldOut(inputs, targets, row.metric)


def score(name: str, respond: Callable[[np.ndarray], Any], *, samples: int | None = None, cache: bool = True) -> float:
    """The metric of ``respond(inputs)``, the outputs for the held-out inputs: of the model or of anything that copies it."""
    held = held_out(name, samples=samples, cache=cache)
    return held.score(respond(held.inputs))


def responses(module: nn.Module, *, batch: int = 500) -> Callable[[np.ndarray], np.ndarray]:
    """The module in eval mode as a function of arrays, ``batch`` inputs at a time."""
    judged = deepcopy(module).eval()  # the mode of the caller's module stays

    def respond(inputs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return torch.cat([judged(some) for some in torch.as_tensor(inputs).split(batch)]).numpy()

    return respond


def cache_folder() -> Path:
    """Where trained weights are kept: models/ in $SPIKESIM_CACHE or in the user's cache folder."""
    root = os.environ.get("SPIKESIM_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spikesim"
    return Path(root) / "models"


def _file(name: str, row: Entry, module: nn.Module) -> Path:
    """Another architecture, other settings, another torch: another file."""
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    what = json.dumps([EDITION, torch.__version__, repr(module), shapes, row.settings()], sort_keys=True)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_cache(folder, error) from None
    return folder / f"{name}-{hashlib.sha256(what.encode()).hexdigest()[:16]}.pt"


def _load(module: nn.Module, path: Path) -> bool:
    """Whether the file was there and whole; weights are data, nothing in the file is executed."""
    if not path.is_file():
        return False
    try:
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, ValueError, TypeError, AttributeError, EOFError, pickle.UnpicklingError):
        return False
    return True


def _save(module: nn.Module, path: Path) -> None:
    """Under its name only once it is whole, for others may read it at the same time."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            torch.save(module.state_dict(), part)
            os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError
        raise _no_cache(path.parent, error) from None


def _no_cache(folder: Path, error: Exception) -> CacheError:
    return CacheError(f"model cache {folder}: cannot be written ({error}); set SPIKESIM_CACHE to a folder of yours")
