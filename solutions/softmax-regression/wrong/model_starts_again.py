"""fit draws new weights each time.

exercise: model
caught-by: model_step
"""


class SoftmaxRegression(SoftmaxRegression):
    def fit(self, X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None):
        self.__init__(*self.W.shape, generator=torch.Generator().manual_seed(0), dtype=self.W.dtype)
        history = []
        for _ in range(epochs):
            total = 0.0
            for batch in minibatches(len(X), batch_size, generator=generator):
                loss, dW, db = softmax_regression_grads(X[batch], y[batch], self.W, self.b)
                self.W = self.W - lr * (dW + weight_decay * self.W)
                self.b = self.b - lr * db
                total += loss.item() * len(batch)
            history.append(total / len(X))
        return history
