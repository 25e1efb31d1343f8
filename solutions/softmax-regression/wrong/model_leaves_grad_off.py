"""Gradients are switched off for the steps of fit and never on again.

exercise: model
caught-by: model_repeatable
"""


class SoftmaxRegression(SoftmaxRegression):
    def fit(self, X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None):
        torch.set_grad_enabled(False)
        history = []
        for _ in range(epochs):
            total = 0.0
            for batch in minibatches(len(X), batch_size, generator=generator):
                loss, dW, db = softmax_regression_grads(X[batch], y[batch], self.W, self.b)
                self.W -= lr * (dW + weight_decay * self.W)
                self.b -= lr * db
                total += loss.item() * len(batch)
            history.append(total / len(X))
        return history
