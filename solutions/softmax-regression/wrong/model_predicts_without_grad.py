"""predict switches gradients off and never on again.

exercise: model
caught-by: model_forward
"""


class SoftmaxRegression(SoftmaxRegression):
    def predict(self, X):
        torch.set_grad_enabled(False)
        return self.logits(X).argmax(dim=1)
