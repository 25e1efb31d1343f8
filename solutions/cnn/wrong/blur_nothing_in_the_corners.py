"""A cross: the corners have no weight.

exercise: filters
caught-by: blur_and_sharpen
"""

import torch


def blur():
    return torch.tensor([[0.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 1.0, 0.0]]) / 8
