"""The new weights go to local variables.

exercise: model
caught-by: model_learns
told: W did not change at all; the new value belongs into self.W
"""


class SoftmaxRegression(SoftmaxRegression):
    def fit(self, X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None):
        history = []
        for _ in range(epochs):
            total = 0.0
            for batch in minibatches(len(X), batch_size, generator=generator):
                loss, dW, db = softmax_regression_grads(X[batch], y[batch], self.W, self.b)
                W = self.W - lr * (dW + weight_decay * self.W)
                b = self.b - lr * db
                total += loss.item() * len(batch)
            history.append(total / len(X))
        return history
