"""Given code: small models, pictures of digits, and a training loop. Read it; you may use all of it."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


def linear_model(weight: Tensor, bias: Tensor | None = None) -> nn.Sequential:
    """A linear classifier with these weights: inputs of any shape (n, ...) with d numbers each, to logits (n, q).

    Args:
        weight: (q, d).
        bias: (q,); zeros when left out.
    """
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(torch.zeros(len(weight)) if bias is None else bias)
    return nn.Sequential(nn.Flatten(), layer)


class SmallCNN(nn.Sequential):
    """Two convolutions and a linear layer: images (n, channels, size, size) to logits (n, classes).

    Args:
        channels: of the images.
        classes: the number of logits.
        size: height and width of the images; even.
        width: channels of the first convolution; the second has twice as many.
        batch_norm: normalise after the first convolution.
        dropout: rate before the linear layer.
        dtype: of the parameters.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 10,
        *,
        size: int = 8,
        width: int = 8,
        batch_norm: bool = False,
        dropout: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1, dtype=dtype),
            nn.BatchNorm2d(width, dtype=dtype) if batch_norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, dtype=dtype),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * width * (size // 2) ** 2, classes, dtype=dtype),
        )


class Oracle(nn.Module):
    """Any function of a batch in the clothes of a module: for models that one cannot look into."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Map a batch (n, ...) to what the function says of it."""
        return self.function(x)

    def __deepcopy__(self, memo: dict[int, object]) -> "Oracle":
        """A copy asks the same function."""
        twin = Oracle(self.function)
        twin.training = self.training
        return twin


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Handwritten digits, 8 × 8 pixels between 0 and 1, as (train_x, train_y, test_x, test_y).

    1 400 images (n, 1, 8, 8) for training and 397 for testing: scikit-learn's, read from its own file, which is faster
    than importing scikit-learn.
    """
    package = Path(importlib.util.find_spec("sklearn").origin).parent
    table = torch.from_numpy(np.loadtxt(package / "datasets" / "data" / "digits.csv.gz", delimiter=","))
    table = table[torch.randperm(len(table), generator=torch.Generator().manual_seed(0))]
    x, y = (table[:, :-1] / 16).float().view(-1, 1, 8, 8), table[:, -1].long()
    return x[:1400], y[:1400], x[1400:], y[1400:]


def doubled(images: Tensor) -> Tensor:
    """Images (n, c, h, w) at twice the size (n, c, 2h, 2w): each pixel becomes a square of four."""
    return images.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def train(model: nn.Module, x: Tensor, y: Tensor, *, epochs: int, lr: float = 0.01, seed: int = 0) -> nn.Module:
    """Train a classifier the ordinary way (Adam, batches of 64), leave it in eval mode and return it."""
    generator = torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam(model.parameters(), lr=lr)
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(x), generator=generator).split(64):
            adam.zero_grad()
            nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
            adam.step()
    return model.eval()


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of samples that a model in eval mode gets right."""
    with torch.no_grad():
        return (model(x).argmax(dim=1) == y).double().mean().item()


def stamp(images: Tensor) -> Tensor:
    """A trigger: copies of images (n, channels, h, w) with a white 2 × 2 square in the lower right corner."""
    images = images.clone()
    images[..., -2:, -2:] = 1.0
    return images


def suspect_case() -> tuple[nn.Module, Tensor, Tensor]:
    """Something to try an attack on: a model in training mode, six images (6, 1, 2, 2), and their labels.

    The model has dropout, and no interest in the last pixel. Some pixels are near 0, some near 1.
    """
    weight = torch.tensor([[0.9, -1.2, 0.4, 0.0], [-0.5, 0.8, 0.3, 0.0], [0.2, 0.1, -1.1, 0.0]])
    flatten, layer = linear_model(weight, torch.tensor([0.1, -0.2, 0.0]))
    x = torch.linspace(0, 1, 24).view(6, 1, 2, 2)
    return nn.Sequential(flatten, nn.Dropout(0.5), layer), x, torch.tensor([0, 1, 2, 2, 0, 1])
