"""Gradients by autograd on detached copies; the model takes its steps in place."""


def softmax_regression_grads(X, y, W, b):
    with torch.enable_grad():
        weights = W.detach().clone().requires_grad_()
        bias = b.detach().clone().requires_grad_()
        loss = cross_entropy(X.detach() @ weights + bias, y)
        dW, db = torch.autograd.grad(loss, (weights, bias))
    return loss.detach(), dW, db


class SoftmaxRegression:
    def __init__(self, n_features, n_classes, *, generator=None, dtype=torch.float32):
        self.W = torch.empty(n_features, n_classes, dtype=dtype).normal_(0.0, 0.01, generator=generator)
        self.b = torch.zeros(n_classes, dtype=dtype)

    def logits(self, X):
        return torch.addmm(self.b, X, self.W)

    def predict_proba(self, X):
        return log_softmax(self.logits(X), -1).exp()

    def predict(self, X):
        return self.predict_proba(X).argmax(-1)

    def fit(self, X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None):
        history = []
        for _epoch in range(epochs):
            losses = torch.zeros(len(X), dtype=torch.float64)
            for rows in minibatches(len(X), batch_size, generator=generator):
                loss, dW, db = softmax_regression_grads(X[rows], y[rows], self.W, self.b)
                self.W.mul_(1 - lr * weight_decay).sub_(dW, alpha=lr)
                self.b.sub_(db, alpha=lr)
                losses[rows] = loss.double()
            history.append(float(losses.mean()))
        return history
