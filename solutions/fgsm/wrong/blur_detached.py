"""No gradient comes through.

exercise: blur
caught-by: blur_values
"""


class BlurDefense(nn.Module):
    def __init__(self, model, k=3):
        super().__init__()
        if k < 1 or k % 2 == 0:
            raise ValueError(f"k must be odd and positive, not {k}")
        self.model = model
        self.k = k

    def forward(self, x):
        padded = F.pad(x.detach(), 4 * (self.k // 2,), mode="replicate")
        return self.model(F.avg_pool2d(padded, self.k, stride=1))
