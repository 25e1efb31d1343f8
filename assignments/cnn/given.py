"""Given code: a helper for pairs, two sets of pictures, and a training loop. Read it; you need not change it."""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


def pair(value: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    """Turn the argument of a 2-D operation into (vertical, horizontal): an int stands for both."""
    if isinstance(value, int):
        return value, value
    vertical, horizontal = value
    return vertical, horizontal


def scene(size: int = 64) -> Tensor:
    """Draw a disc, bars, a checkerboard and a soft blob: float32 (size, size), from 0 (black) to 1 (white)."""
    y, x = torch.meshgrid(torch.linspace(0, 1, size), torch.linspace(0, 1, size), indexing="ij")
    picture = torch.full((size, size), 0.2)
    picture[(y - 0.27).square() + (x - 0.27).square() < 0.19**2] = 0.9
    bars = (y > 0.08) & (y < 0.46) & (x > 0.55) & (x < 0.93)
    picture[bars & (((x - 0.55) * 64).floor().remainder(8) < 4)] = 1.0
    board = (y > 0.55) & (y < 0.93) & (x > 0.08) & (x < 0.46)
    squares = ((x - 0.08) * 10.5).floor() + ((y - 0.55) * 10.5).floor()
    picture[board & (squares.remainder(2) < 1)] = 0.7
    blob = 0.8 * torch.exp(-((y - 0.74).square() + (x - 0.74).square()) / 0.012)
    return picture + blob * (1 - picture)


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Load scikit-learn's handwritten digits, enlarged from 8 × 8 to 28 × 28 pixels, roughly mean 0 and deviation 1.

    Returns:
        Training images (1400, 1, 28, 28) and labels (1400,), test images (397, 1, 28, 28) and labels (397,).
    """
    package = Path(importlib.util.find_spec("sklearn").origin).parent
    table = torch.from_numpy(np.loadtxt(package / "datasets" / "data" / "digits.csv.gz", delimiter=","))
    table = table[torch.randperm(len(table), generator=torch.Generator().manual_seed(0))]
    small = (table[:, :-1].float().view(-1, 1, 8, 8) / 16 - 0.3) / 0.38
    images = nn.functional.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False)
    labels = table[:, -1].long()
    return images[:1400], labels[:1400], images[1400:], labels[1400:]


def fit(
    model: nn.Module, images: Tensor, labels: Tensor, *, epochs: int, generator: torch.Generator, lr: float = 8e-3
) -> list[float]:
    """Train a classifier with Adam, batches of 48 and a learning rate that falls to zero in a straight line.

    Returns:
        The loss of every step.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    steps = epochs * -(-len(images) // 48)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    losses = []
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=generator).split(48):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    model.eval()
    return losses
