"""The sum of batch means, divided by n.

exercise: model
caught-by: model_history
told: the batch means were summed and divided by n; weigh each by its size first
"""


class SoftmaxRegression(SoftmaxRegression):
    def fit(self, X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None):
        history = []
        for _ in range(epochs):
            total = 0.0
            for batch in minibatches(len(X), batch_size, generator=generator):
                loss, dW, db = softmax_regression_grads(X[batch], y[batch], self.W, self.b)
                self.W = self.W - lr * (dW + weight_decay * self.W)
                self.b = self.b - lr * db
                total += loss.item()
            history.append(total / len(X))
        return history
