"""More weight on the right than on the left.

exercise: filters
caught-by: blur_and_sharpen
"""

import torch


def blur():
    return torch.tensor([[1.0, 2.0, 1.5], [2.0, 4.0, 2.5], [1.0, 2.0, 1.5]]) / 17.5
