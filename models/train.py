"""Plain supervised training of torch modules by stochastic gradient descent on a mean loss."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR

from spikesim.errors import DescriptionError, unknown_name
from spikesim.models.data.split import UNLABELLED
from spikesim.torch_state import own_torch_state

Module = TypeVar("Module", bound=nn.Module)
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def train(module: Module, images: Any, labels: Any, *, epochs: int = 60, batch: int = 64, rate: float = 0.02, seed: int = 0,
          threads: int = 1, loss: str = "cross_entropy", optimizer: str = "adam", schedule: str = "constant",
          weight_decay: float = 0.0, augmentation: str = "none", precision: str = "float32",
          progress: Callable[[int, float], None] | None = None) -> Module:  # fmt: skip
    """Train ``module`` in place on images (n, ...) and labels (n, ...), and return it in eval mode.

    loss, optimizer, augmentation: rows of `LOSSES`, `OPTIMIZERS` and `AUGMENTATIONS`.
    rate: the optimizer's step, with ``schedule="onecycle"`` its largest (Smith & Topin 2019).
    precision: "bfloat16" computes in it and in channels-last layout where torch's autocast can (the weights stay float32).
    threads: of torch, one is fastest for small nets; ``progress(epoch, loss)`` is called after each epoch, counted from
    1, with its mean loss. The same seed and threads give the same weights on the same machine.
    torch's own random state and number of threads are left as they were.
    """
    images, labels = _checked(module, images, labels)
    if min(epochs, batch, threads) < 1:
        raise DescriptionError(f"train: epochs, batch and threads must be at least 1, got {epochs}, {batch} and {threads}")
    step = _Step(module, _row("loss", LOSSES, loss), _row("augmentation", AUGMENTATIONS, augmentation), _half(precision))
    descent = _row("optimizer", OPTIMIZERS, optimizer)(module.parameters(), rate, weight_decay)
    batches = math.ceil(len(labels) / batch)
    advance = _row("schedule", SCHEDULES, schedule)(descent, rate, epochs * batches)
    module.train()
    with own_torch_state(seed, threads), step.layout():
        for epoch in range(1, epochs + 1):
            mean = _epoch(step, descent, advance, images, labels, batches)
            if progress is not None:
                progress(epoch, mean)
    return module.eval()


def accuracy(module: nn.Module, images: Any, labels: Any) -> float:
    """The share, 0..1, of images (n, ...) whose largest output is that of their label (n,)."""
    images, labels = _checked(module, images, labels)
    judged = deepcopy(module).eval()  # the mode of the caller's module stays
    with torch.no_grad():
        hits = [(judged(some).argmax(1) == wanted).sum().item()
                for some, wanted in zip(images.split(1024), labels.split(1024), strict=True)]  # fmt: skip
    return sum(hits) / len(labels)


def _cross_entropy(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of logits (..., classes) with labels (...); `UNLABELLED` ones do not count."""
    return functional.cross_entropy(outputs.flatten(0, -2), labels.flatten(), ignore_index=UNLABELLED)


LOSSES: dict[str, Loss] = {"cross_entropy": _cross_entropy, "mse": functional.mse_loss}

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    # Kingma & Ba (2015); with weight decay as of Loshchilov & Hutter (2019)
    "adam": lambda parameters, rate, decay: torch.optim.AdamW(parameters, lr=rate, weight_decay=decay),
    "nesterov": lambda parameters, rate, decay: torch.optim.SGD(parameters, lr=rate, momentum=0.9, nesterov=True, weight_decay=decay),
}

SCHEDULES: dict[str, Callable[..., Callable[[], None]]] = {
    "constant": lambda descent, rate, steps: lambda: None,
    "onecycle": lambda descent, rate, steps: OneCycleLR(descent, max_lr=rate, total_steps=steps).step,
}


def _shift_and_flip(images: torch.Tensor, reach: int = 2) -> torch.Tensor:
    """Each image (channels, height, width) moved by up to ``reach`` pixels, zeros moving in, and half of them mirrored."""
    number, _, height, width = images.shape
    rows = torch.randint(2 * reach + 1, (number, 1)) + torch.arange(height)
    columns = torch.randint(2 * reach + 1, (number, 1)) + torch.arange(width)
    columns = torch.where(torch.rand(number, 1) < 0.5, columns.flip(1), columns)
    padded = functional.pad(images, [reach] * 4)
    moved = padded[torch.arange(number)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


AUGMENTATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"none": lambda images: images, "shift and flip": _shift_and_flip}


class _Step:
    """The loss of one batch as a function of the module's weights."""

    def __init__(self, module: nn.Module, loss: Loss, augment: Callable[[torch.Tensor], torch.Tensor], half: bool) -> None:
        self.module, self.loss, self.augment, self.half = module, loss, augment, half

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        images = self.augment(images)
        if self.half and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.half):
            return self.loss(self.module(images), labels)

    @contextmanager
    def layout(self) -> Iterator[None]:
        """Weights lie channels last while half precision trains them, which is the layout its kernels are fast in."""
        if self.half:
            _lay(self.module, torch.channels_last)
        try:
            yield
        finally:
            if self.half:
                _lay(self.module, torch.contiguous_format)


def _lay(module: nn.Module, layout: torch.memory_format) -> None:
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)


def _epoch(step: _Step, descent: torch.optim.Optimizer, advance: Callable[[], None],
           images: torch.Tensor, labels: torch.Tensor, batches: int) -> float:  # fmt: skip
    """One pass in random order; the batches differ by at most one image, since BatchNorm cannot learn from a single one."""
    total = 0.0
    order = torch.randperm(len(labels)).to(labels.device)
    for chosen in order.tensor_split(batches):
        descent.zero_grad()
        loss = step(images[chosen], labels[chosen])
        loss.backward()
        descent.step()
        advance()
        total += loss.item() * len(chosen)
    return total / len(labels)


def _row(kind: str, table: Mapping[str, Any], name: str) -> Any:
    if name not in table:
        raise unknown_name(kind, name, table, where="train")
    return table[name]


def _half(precision: str) -> bool:
    return _row("precision", {"float32": False, "bfloat16": True}, precision)


def _checked(module: nn.Module, images: Any, labels: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Both on the device of the module's parameters; images, and labels that are no classes, of the parameters' kind."""
    like = next(module.parameters())
    images, labels = torch.as_tensor(images).to(like), torch.as_tensor(labels).to(like.device)
    if len(images) != len(labels) or len(labels) == 0:
        raise DescriptionError(f"expected one label for each image and at least one, got {len(images)} images and {len(labels)} labels")
    return images, labels.to(like) if labels.is_floating_point() else labels
