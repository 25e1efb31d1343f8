"""The bias is trained but never added.

exercise: model
caught-by: model_step
"""


class SoftmaxRegression(SoftmaxRegression):
    def logits(self, X):
        return X @ self.W
