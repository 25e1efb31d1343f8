"""Where the arguments of a check are when the student's code gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.guest.wire import WANTED_DEVICE

if TYPE_CHECKING:
    import torch

__all__ = ["on"]


def on(device: torch.device, tensor: torch.Tensor) -> torch.Tensor:
    """Have a tensor arrive on a device of the guest's; here it stays on the CPU, where the grader computes.

    Only this tensor: what is computed from it here arrives on the CPU again. Results, gradients and whatever else the
    student's code gives come back to the CPU.

    Args:
        device: what the fixture ``device`` says. On ``cpu`` nothing happens.
        tensor: a tensor on the CPU.

    Returns:
        The tensor itself.
    """
    if device.type != "cpu":
        setattr(tensor, WANTED_DEVICE, str(device))
    return tensor
