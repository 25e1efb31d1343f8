"""A training loop that uses nothing of the earlier exercises, with leaf tensors and backward."""


class SoftmaxRegression:
    def __init__(self, n_features, n_classes, *, generator=None, dtype=torch.float32):
        self.W = (torch.randn(n_features, n_classes, generator=generator, dtype=dtype) * 0.01).requires_grad_()
        self.b = torch.zeros(n_classes, dtype=dtype, requires_grad=True)

    def logits(self, X):
        return X.mm(self.W) + self.b

    def predict_proba(self, X):
        z = self.logits(X)
        e = torch.exp(z - z.max(dim=1, keepdim=True).values)
        return e / e.sum(dim=1, keepdim=True)

    def predict(self, X):
        return self.logits(X).max(dim=1).indices

    def fit(self, X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None):
        n = X.shape[0]
        history = []
        for _ in range(epochs):
            order = torch.randperm(n, generator=generator)
            seen, total = 0, 0.0
            while seen < n:
                index = order[seen : seen + batch_size]
                z = self.logits(X[index])
                z = z - z.detach().max(dim=1, keepdim=True).values
                loss = (z.exp().sum(1).log() - z.gather(1, y[index].view(-1, 1)).view(-1)).mean()
                (loss + weight_decay / 2 * (self.W**2).sum()).backward()
                with torch.no_grad():
                    for parameter in (self.W, self.b):
                        parameter -= lr * parameter.grad
                        parameter.grad = None
                total += float(loss.detach()) * len(index)
                seen += len(index)
            history.append(total / n)
        return history
