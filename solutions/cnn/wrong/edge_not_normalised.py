"""Sobel's kernel as it stands in the books: a ramp of slope 1 gives 8.

exercise: filters
caught-by: edge
"""

import torch


def edge():
    return torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
