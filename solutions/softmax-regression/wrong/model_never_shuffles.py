"""The samples are visited in the order in which they lie.

exercise: model
caught-by: model_repeatable
"""


class SoftmaxRegression(SoftmaxRegression):
    def fit(self, X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None):
        history = []
        for _ in range(epochs):
            total = 0.0
            for batch in minibatches(len(X), batch_size, shuffle=False):
                loss, dW, db = softmax_regression_grads(X[batch], y[batch], self.W, self.b)
                self.W = self.W - lr * (dW + weight_decay * self.W)
                self.b = self.b - lr * db
                total += loss.item() * len(batch)
            history.append(total / len(X))
        return history
