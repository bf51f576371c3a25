"""A deep convolutional generative adversarial network: a generator of images, trained against a discriminator.

After Radford, Metz & Chintala (2016), Unsupervised representation learning with deep convolutional generative
adversarial networks, ICLR; the training is that of Goodfellow et al. (2014), Generative adversarial nets, NeurIPS, with
the generator's loss that does not saturate.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikesim.models.seeded import seeded
from spikesim.models.train import own_torch_state


class Generator(nn.Module):
    """Latent numbers (n, latent, 1, 1), normally distributed -> images (n, 1, 8, 8) in -1..1."""

    def __init__(self, *, latent: int, width: int) -> None:
        super().__init__()
        self.latent = latent
        self.project = nn.Sequential(nn.ConvTranspose2d(latent, 2 * width, 2, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU())
        self.grow = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.paint = nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1)
        self.tanh = nn.Tanh()

    def forward(self, z: Tensor) -> Tensor:
        return self.tanh(self.paint(self.grow(self.project(z))))


class Discriminator(nn.Module):
    """Images (n, 1, 8, 8) -> (n, 1): the log odds that they are real."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.second = nn.Sequential(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
                                    nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2))  # fmt: skip
        self.judge = nn.Conv2d(2 * width, 1, 2)
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        return self.flatten(self.judge(self.second(self.first(x))))


def digits_generator(*, seed: int = 0) -> Generator:
    """From 16 latent numbers."""
    return seeded(lambda: Generator(latent=16, width=32), seed)


def digits_discriminator(*, seed: int = 0) -> Discriminator:
    """Its opponent."""
    return seeded(lambda: Discriminator(width=32), seed)


def train_adversarially(generator: Generator, _inputs: Any, images: Any, *, epochs: int = 60, batch: int = 64, rate: float = 1e-3,
                        seed: int = 0, threads: int = 1,
                        progress: Callable[[int, float], None] | None = None) -> Generator:  # fmt: skip
    """Train the generator in place on real images (n, 1, 8, 8) in -1..1, and return it in eval mode.

    Each step draws new latent numbers. ``progress(epoch, loss)`` is told the generator's loss of the last step.
    """
    real = torch.as_tensor(images, dtype=torch.float32)
    discriminator = digits_discriminator(seed=seed)
    players = tuple(torch.optim.Adam(player.parameters(), lr=rate, betas=(0.5, 0.999)) for player in (generator, discriminator))
    generator.train()
    with own_torch_state(seed, threads):
        for epoch in range(1, epochs + 1):
            loss = 0.0
            for chosen in torch.randperm(len(real)).tensor_split(-(-len(real) // batch)):
                loss = _round(generator, discriminator, players, real[chosen])
            if progress is not None:
                progress(epoch, loss)
    return generator.eval()


def _round(generator: Generator, discriminator: Discriminator, players: tuple[torch.optim.Optimizer, ...], real: Tensor) -> float:
    """One step of the discriminator, then one of the generator; its loss."""
    fake = generator(torch.randn(len(real), generator.latent, 1, 1))
    learn_generator, learn_discriminator = players
    learn_discriminator.zero_grad()
    (functional.softplus(-discriminator(real)).mean() + functional.softplus(discriminator(fake.detach())).mean()).backward()
    learn_discriminator.step()
    learn_generator.zero_grad()
    loss = functional.softplus(-discriminator(fake)).mean()
    loss.backward()
    learn_generator.step()
    return loss.item()
