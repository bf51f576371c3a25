"""Plain supervised training of torch modules: Adam (Kingma & Ba 2015) on the cross entropy."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from spikesim.errors import DescriptionError

Module = TypeVar("Module", bound=nn.Module)


def train(module: Module, images: Any, labels: Any, *, epochs: int = 60, batch: int = 64, rate: float = 0.02, seed: int = 0,
          threads: int = 1, progress: Callable[[int, float], None] | None = None) -> Module:  # fmt: skip
    """Train ``module`` in place on images (n, ...) and labels (n,), and return it in eval mode.

    rate: Adam's step; threads: of torch, one is fastest for small nets; ``progress(epoch, loss)`` is called after each
    epoch, counted from 1, with its mean loss. The same seed and threads give the same weights on the same machine.
    torch's own random state and number of threads are left as they were.
    """
    images, labels = _checked(module, images, labels)
    if min(epochs, batch, threads) < 1:
        raise DescriptionError(f"train: epochs, batch and threads must be at least 1, got {epochs}, {batch} and {threads}")
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    module.train()
    with _own_torch_state(seed, threads):
        for epoch in range(1, epochs + 1):
            loss = _epoch(module, optimizer, images, labels, batch)
            if progress is not None:
                progress(epoch, loss)
    return module.eval()


def accuracy(module: nn.Module, images: Any, labels: Any) -> float:
    """The share, 0..1, of images (n, ...) whose largest output is that of their label (n,)."""
    images, labels = _checked(module, images, labels)
    judged = deepcopy(module).eval()  # the mode of the caller's module stays
    with torch.no_grad():
        hits = [(judged(some).argmax(1) == wanted).sum().item()
                for some, wanted in zip(images.split(1024), labels.split(1024), strict=True)]  # fmt: skip
    return sum(hits) / len(labels)


@contextmanager
def _own_torch_state(seed: int, threads: int) -> Iterator[None]:
    """Seed torch and set its threads; afterwards both are as the caller had them."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _epoch(module: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor, batch: int) -> float:
    """One pass in random order; the batches differ by at most one image, since BatchNorm cannot learn from a single one."""
    total = 0.0
    order = torch.randperm(len(labels)).to(labels.device)
    for chosen in order.tensor_split(math.ceil(len(labels) / batch)):
        optimizer.zero_grad()
        loss = cross_entropy(module(images[chosen]), labels[chosen])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(chosen)
    return total / len(labels)


def _checked(module: nn.Module, images: Any, labels: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as tensors of the kind and on the device that the module's parameters have."""
    like = next(module.parameters())
    images, labels = torch.as_tensor(images).to(like), torch.as_tensor(labels).to(like.device)
    if len(images) != len(labels) or len(labels) == 0:
        raise DescriptionError(f"expected one label for each image and at least one, got {len(images)} images and {len(labels)} labels")
    return images, labels
