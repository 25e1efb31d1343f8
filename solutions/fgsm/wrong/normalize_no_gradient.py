"""Computed without gradients.

exercise: normalize
caught-by: normalize_values
"""


class Normalize(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.as_tensor(std).view(-1, 1, 1))

    def forward(self, x):
        with torch.no_grad():
            return (x - self.mean) / self.std
