"""A box of ones, not divided by 9.

exercise: filters
caught-by: blur_and_sharpen
"""

import torch


def blur():
    return torch.ones(3, 3)
