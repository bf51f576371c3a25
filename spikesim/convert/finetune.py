"""Fine-tuning for few steps: a torch module learns to work with activations of a few levels.

Bu, Fang, Ding, Dai, Yu & Huang (2022), Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural
networks, ICLR. With T = levels steps the spiking network can express just these activations.
"""

import math
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from spikesim.convert.qcfs import QCFS
from spikesim.description import checked_number, limits
from spikesim.errors import ConversionError, DescriptionError, KindError
from spikesim.torch_state import own_torch_state

CALIBRATION = 1000  # images from which the thresholds to begin with are taken
RELU = {  # op of torch.fx: targets that overwrite nothing, targets that overwrite their input
    "call_function": ({functional.relu, torch.relu}, {functional.relu_, torch.relu_}),
    "call_method": ({"relu"}, {"relu_"}),
}
WHOLE = ("levels", "epochs", "batch", "threads")
REAL = {
    "rate": limits(None, above=0.0, varies=False),
    "weight_decay": limits(None, at_least=0.0, varies=False),
    "percentile": limits(None, above=0.0, at_most=100.0, varies=False),
}


def finetune_qcfs(module: nn.Module, data: tuple[Any, Any], *, levels: int = 8, epochs: int = 5, batch: int = 64, rate: float = 0.002,
                  weight_decay: float = 5e-4, percentile: float = 99.0, per_channel: bool = True, seed: int = 0, threads: int = 1,
                  progress: Callable[[int, float], None] | None = None) -> fx.GraphModule:  # fmt: skip
    """A copy of a trained classifier in which each use of ReLU is a `QCFS`, trained on; in eval mode.

    data: images (n, ...) as the module takes them, and their classes (n,); the module gives logits (n, classes).
    levels: L, the number of steps after which spikes express the activations. rate: of stochastic gradient descent with
    Nesterov's momentum 0.9, falling to 0 as a cosine; weight_decay: of all but the thresholds. Each threshold begins at that
    percentile of the layer's, or the channel's, positive activations. threads: of torch; its random state and its number of
    threads are left as they were. Dropout written as a function is off; as a module it works as usual.

    ``progress(epoch, loss)`` is called after each epoch, counted from 1, with its mean loss. Ctrl-C ends the training: once
    an epoch is complete, the weights after the one with the least loss are returned, with a warning; before, KeyboardInterrupt goes on.
    """
    _check(module, {"levels": levels, "epochs": epochs, "batch": batch, "threads": threads},
           {"rate": rate, "weight_decay": weight_decay, "percentile": percentile})  # fmt: skip
    images, labels = _labelled(module, data)
    with own_torch_state(seed, threads):
        quantised = quantise(module, images, levels=levels, percentile=percentile, per_channel=per_channel)
        _check_labels(quantised, images, labels)
        descent = torch.optim.SGD(_groups(quantised, weight_decay), lr=rate, momentum=0.9, nesterov=True)
        batches = math.ceil(len(labels) / batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(descent, epochs * batches)
        losses: list[float] = []
        best = quantised.state_dict()
        try:
            for epoch in range(1, epochs + 1):
                losses.append(_epoch(quantised.train(), descent, schedule, images, labels, batches))
                if losses[-1] == min(losses):
                    best = deepcopy(quantised.state_dict())
                if progress is not None:
                    progress(epoch, losses[-1])
        except KeyboardInterrupt:
            if not losses:
                raise
            quantised.load_state_dict(best)
            warnings.warn(f"finetune_qcfs: interrupted after {len(losses)} of {epochs} epochs; the best weights are returned", stacklevel=2)
    return quantised.eval()


def quantise(module: nn.Module, images: torch.Tensor, *, levels: int, percentile: float, per_channel: bool) -> fx.GraphModule:
    """A copy of the module, in eval mode, with a `QCFS` for each use of ReLU; thresholds from its activations on the images."""
    traced = _traced(module)
    found = [node for node in traced.graph.nodes if _relu(traced, node)]
    if not found:
        raise ConversionError(
            "finetune_qcfs: expected a module with at least one ReLU (nn.ReLU, functional.relu, torch.relu, x.relu()), found none"
        )
    chosen = images[torch.linspace(0, len(images) - 1, min(len(images), CALIBRATION)).long()]
    for number, (node, threshold) in enumerate(_thresholds(traced, found, chosen, percentile, per_channel).items(), 1):
        name = f"qcfs_{number}"
        if hasattr(traced, name):
            raise DescriptionError(f"finetune_qcfs: the module has a part {name!r} already, so give it another name")
        traced.add_submodule(name, QCFS(levels, threshold))
        _replace(traced, node, name)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _traced(module: nn.Module) -> fx.GraphModule:
    copied = deepcopy(module).eval()  # what asks for self.training is traced as it works in use
    try:
        return fx.symbolic_trace(copied)
    except Exception as error:
        raise ConversionError(f"finetune_qcfs: torch.fx cannot trace {type(module).__name__}, whose control flow must not depend "
                              f"on the data: {error}") from error  # fmt: skip


def _relu(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), nn.ReLU)
    return any(node.target in targets for targets in RELU.get(node.op, ()))


def _overwrites(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return bool(traced.get_submodule(str(node.target)).inplace)
    return node.target in RELU[node.op][1] or bool(node.kwargs.get("inplace", node.args[1] if len(node.args) > 1 else False))


def _replace(traced: fx.GraphModule, node: fx.Node, name: str) -> None:
    """Put the part ``name`` in place of a ReLU; where that overwrote its input, all that comes later reads the part's output."""
    read = node.args[0] if node.args else node.kwargs["input"]
    assert isinstance(read, fx.Node)
    with traced.graph.inserting_after(node):
        part = traced.graph.call_module(name, (read,))
    if _overwrites(traced, node):
        for user in list(read.users):
            if user > part:
                user.replace_input_with(read, part)
    node.replace_all_uses_with(part)
    traced.graph.erase_node(node)


class _Watch(fx.Interpreter):
    """Runs a module and keeps a threshold for each watched node."""

    def __init__(self, traced: fx.GraphModule, watched: list[fx.Node], percentile: float, per_channel: bool) -> None:
        super().__init__(traced)
        self.thresholds: dict[fx.Node, torch.Tensor] = dict.fromkeys(watched, torch.empty(0))
        self.percentile, self.per_channel = percentile, per_channel

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n in self.thresholds:
            if not torch.isfinite(value).all():
                raise DescriptionError(f"finetune_qcfs: the module's activation {n.name} is not finite on the images; was it trained?")
            self.thresholds[n] = _threshold(value, self.percentile, self.per_channel)
        return value


@torch.no_grad()
def _thresholds(traced: fx.GraphModule, watched: list[fx.Node], images: torch.Tensor, percentile: float,
                per_channel: bool) -> dict[fx.Node, torch.Tensor]:  # fmt: skip
    watch = _Watch(traced, watched, percentile, per_channel)
    try:
        watch.run(images)
    except RuntimeError as error:
        raise DescriptionError(f"finetune_qcfs: the module does not take images of shape {tuple(images.shape)}: {error}") from error
    return watch.thresholds


def _threshold(value: torch.Tensor, percentile: float, per_channel: bool) -> torch.Tensor:
    """Of the positive numbers in value (n, channels, ...); what is silent takes the threshold of its layer, or 1."""
    of_layer = _percentile(value, percentile) or 1.0
    if not per_channel:
        return value.new_tensor(of_layer)
    each = [_percentile(channel, percentile) or of_layer for channel in value.unbind(1)]
    return value.new_tensor(each).reshape(-1, *[1] * (value.ndim - 2))


def _percentile(value: torch.Tensor, percentile: float) -> float:
    positive = value[value > 0.0].cpu().numpy()
    return float(np.percentile(positive, percentile)) if len(positive) else 0.0


def _groups(quantised: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    thresholds = [part.threshold for part in quantised.modules() if isinstance(part, QCFS)]
    known = set(thresholds)
    weights = [each for each in quantised.parameters() if each.requires_grad and each not in known]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": thresholds, "weight_decay": 0.0}]


def _epoch(quantised: nn.Module, descent: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler,
           images: torch.Tensor, labels: torch.Tensor, batches: int) -> float:  # fmt: skip
    """One pass in random order; the batches differ by at most one image, since BatchNorm cannot learn from a single one."""
    total, parts = 0.0, [part for part in quantised.modules() if isinstance(part, QCFS)]
    for chosen in torch.randperm(len(labels)).to(labels.device).tensor_split(batches):
        descent.zero_grad()
        loss = functional.cross_entropy(quantised(images[chosen]), labels[chosen])
        if not torch.isfinite(loss):
            raise DescriptionError(f"finetune_qcfs: the loss became {loss.item()}; try a smaller rate than {descent.defaults['lr']:g}")
        loss.backward()
        descent.step()
        schedule.step()
        for part in parts:
            part.keep_positive()
        total += loss.item() * len(chosen)
    return total / len(labels)


def _check(module: Any, whole: dict[str, Any], real: dict[str, Any]) -> None:
    if not isinstance(module, nn.Module):
        raise KindError(f"finetune_qcfs: expected a torch module, got {type(module).__name__}")
    for name, value in whole.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise DescriptionError(f"finetune_qcfs: {name} must be a whole number from 1 on, got {value!r}")
    for name, value in real.items():
        checked_number(value, f"finetune_qcfs: {name}", REAL[name])


def _labelled(module: nn.Module, data: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels as tensors on the device of the module's parameters, the images of their kind."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise KindError(f"finetune_qcfs: expected data as a pair of images and labels, got {type(data).__name__}")
    like = next(module.parameters(), None)
    if like is None:
        raise ConversionError(f"finetune_qcfs: {type(module).__name__} has no parameters to train")
    images, labels = torch.as_tensor(data[0]).to(like), torch.as_tensor(data[1]).to(like.device)
    if images.ndim < 2 or labels.ndim != 1 or len(images) != len(labels) or len(labels) == 0:
        raise DescriptionError(f"finetune_qcfs: expected images (n, ...) and labels (n,) with n > 0, got shapes {tuple(images.shape)} "
                               f"and {tuple(labels.shape)}")  # fmt: skip
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise KindError(f"finetune_qcfs: expected whole numbers as labels, got {labels.dtype}")
    if not torch.isfinite(images).all():
        raise DescriptionError("finetune_qcfs: expected finite images, found nan or infinity")
    return images, labels.long()


@torch.no_grad()
def _check_labels(quantised: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """The module's outputs must be one row of logits an image, with a column for each label."""
    logits = quantised(images[:2])
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        raise DescriptionError(
            f"finetune_qcfs: expected a module that gives logits (n, classes), got {getattr(logits, 'shape', type(logits))}"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= logits.shape[1]:
        raise DescriptionError(f"finetune_qcfs: expected labels from 0 to {logits.shape[1] - 1}, the module's outputs, got {low} to {high}")
