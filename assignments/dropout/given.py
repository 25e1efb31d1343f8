"""Given code: data for a plot, and small models on which checks try your functions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def wave(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noisy values of sin(2x) at n points, float32 (n, 1) each, none of them between −0.7 and 0.7."""
    x = 0.7 + 1.3 * torch.rand(n, 1, generator=generator)
    x[::2] *= -1
    return x, torch.sin(2 * x) + 0.1 * torch.randn(n, 1, generator=generator)


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear layer with this weight (out, in) and this bias (out,), or none."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def stand_in(base: type[nn.Module], factors: Sequence[float]) -> nn.Module:
    """A layer of a subclass of your dropout class, whose noise is known beforehand.

    In training mode the first call multiplies by the first factor, the second by the second, and so on, from the
    start again after the last; in evaluation it does nothing.
    """

    class StandIn(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.turn = 0

        def forward(self, x: Tensor) -> Tensor:
            if not self.training:
                return x
            factor = factors[self.turn % len(factors)]
            self.turn += 1
            return x * factor

    return StandIn()


class NoisyNet(nn.Module):
    """A network with two noisy layers and batch normalisation: last(second(tanh(norm(first(x))))), (n, 4) to (n, 2).

    Attributes:
        calls: one entry a call: the names of the modules in training mode, and whether autograd was recording.
    """

    def __init__(self, first: nn.Module, second: nn.Module, fails_at: int = 0) -> None:
        """``fails_at``: the number of the call that raises ValueError, counted from 1; 0 for none."""
        super().__init__()
        self.first = first
        self.norm = nn.BatchNorm1d(4)
        self.inner = nn.Sequential(nn.Tanh(), nn.Sequential(second))
        self.last = nn.Linear(4, 2)
        self.fails_at = fails_at
        self.calls: list[tuple[list[str], bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 2) for inputs (n, 4)."""
        self.calls.append(([name for name, module in self.named_modules() if module.training], torch.is_grad_enabled()))
        if len(self.calls) == self.fails_at:
            raise ValueError("this call fails on purpose")
        return self.last(self.inner(self.norm(self.first(x))))
