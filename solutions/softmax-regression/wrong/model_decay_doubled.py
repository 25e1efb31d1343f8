"""The gradient of λ‖W‖² instead of λ/2 ‖W‖².

exercise: model
caught-by: model_weight_decay
told: the penalty was λ‖W‖² instead of λ/2 ‖W‖²
"""


class SoftmaxRegression(SoftmaxRegression):
    def fit(self, X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None):
        history = []
        for _ in range(epochs):
            total = 0.0
            for batch in minibatches(len(X), batch_size, generator=generator):
                loss, dW, db = softmax_regression_grads(X[batch], y[batch], self.W, self.b)
                self.W = self.W - lr * (dW + 2 * weight_decay * self.W)
                self.b = self.b - lr * db
                total += loss.item() * len(batch)
            history.append(total / len(X))
        return history
