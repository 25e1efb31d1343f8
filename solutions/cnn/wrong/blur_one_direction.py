"""A blur along the rows only.

exercise: filters
caught-by: blur_and_sharpen
"""

import torch


def blur():
    return torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 1.0], [0.0, 0.0, 0.0]]) / 4
