"""The change from top to bottom.

exercise: filters
caught-by: edge
told: the change from top to bottom was taken
"""

import torch


def edge():
    return torch.tensor([[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]]) / 8
