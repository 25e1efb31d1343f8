"""The difference is taken in the top row only.

exercise: filters
caught-by: edge
"""

import torch


def edge():
    return torch.tensor([[-1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]) / 2
