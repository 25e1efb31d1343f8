"""Given code: a case for judging attention, a small task for tokens, and a training loop."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def suspect_case() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys, values and a mask for trying an implementation of attention; all sizes differ.

    Returns:
        q (2, 3, 5, 4), k (2, 3, 6, 4), v (2, 3, 6, 7), float64, and a boolean mask (2, 1, 5, 6) in which one row of the
        first sample is fully masked, and the two samples differ.
    """
    generator = torch.Generator().manual_seed(5)
    shapes = ((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 7))
    q, k, v = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    mask = torch.rand(2, 1, 5, 6, generator=generator) < 0.6
    mask[..., 0] = True
    mask[0, 0, 2] = False
    return q, k, v, mask


def reversal(n: int, length: int, symbols: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random sequences of symbols, and the same sequences backwards: two int64 tensors (n, length)."""
    x = torch.randint(symbols, (n, length), generator=generator)
    return x, x.flip(1)


def fit(model: nn.Module, batch: Callable[[], tuple[Tensor, Tensor]], *, steps: int, lr: float = 3e-3) -> list[float]:
    """Train a model that labels each token, with Adam.

    Args:
        model: maps int64 tokens (n, length) to logits (n, length, q).
        batch: returns tokens (n, length) and labels (n, length).
        steps: how many batches.
        lr: Adam's step size.

    Returns:
        The mean cross-entropy of each batch.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        tokens, labels = batch()
        loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
