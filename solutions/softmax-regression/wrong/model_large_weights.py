"""Weights with standard deviation 1.

exercise: model
caught-by: model_forward
"""


class SoftmaxRegression(SoftmaxRegression):
    def __init__(self, n_features, n_classes, *, generator=None, dtype=torch.float32):
        self.W = torch.randn(n_features, n_classes, generator=generator, dtype=dtype)
        self.b = torch.zeros(n_classes, dtype=dtype)
