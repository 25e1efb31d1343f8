"""Less weight in the middle than around it.

exercise: filters
caught-by: blur_and_sharpen
"""

import torch


def blur():
    return torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.5, 1.0], [1.0, 1.0, 1.0]]) / 8.5
