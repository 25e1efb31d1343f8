"""The change from right to left.

exercise: filters
caught-by: edge
told: the change from right to left was taken
"""

import torch


def edge():
    return torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 8
