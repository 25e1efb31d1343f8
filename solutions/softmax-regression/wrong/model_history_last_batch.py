"""The loss of the last batch of each epoch.

exercise: model
caught-by: model_history
told: the loss of the last batch was taken for that of the epoch
"""


class SoftmaxRegression(SoftmaxRegression):
    def fit(self, X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None):
        history = []
        for _ in range(epochs):
            for batch in minibatches(len(X), batch_size, generator=generator):
                loss, dW, db = softmax_regression_grads(X[batch], y[batch], self.W, self.b)
                self.W = self.W - lr * (dW + weight_decay * self.W)
                self.b = self.b - lr * db
            history.append(loss.item())
        return history
