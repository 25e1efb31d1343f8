"""predict returns the largest probability, not its class.

exercise: model
caught-by: model_forward
"""


class SoftmaxRegression(SoftmaxRegression):
    def predict(self, X):
        return self.predict_proba(X).max(dim=1).values
