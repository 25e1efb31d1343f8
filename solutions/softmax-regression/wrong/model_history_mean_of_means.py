"""The plain mean of the batch means.

exercise: model
caught-by: model_short_batch
told: the plain mean of the batch losses was taken; weigh each by its size
"""


class SoftmaxRegression(SoftmaxRegression):
    def fit(self, X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None):
        history = []
        for _ in range(epochs):
            losses = []
            for batch in minibatches(len(X), batch_size, generator=generator):
                loss, dW, db = softmax_regression_grads(X[batch], y[batch], self.W, self.b)
                self.W = self.W - lr * (dW + weight_decay * self.W)
                self.b = self.b - lr * db
                losses.append(loss.item())
            history.append(sum(losses) / len(losses))
        return history
