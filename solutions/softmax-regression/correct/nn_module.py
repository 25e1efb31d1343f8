"""An nn.Module with nn.Parameters, trained by torch.optim.SGD with one parameter group without decay."""

from torch import nn


class SoftmaxRegression(nn.Module):
    def __init__(self, n_features, n_classes, *, generator=None, dtype=torch.float32):
        super().__init__()
        self.W = nn.Parameter(torch.normal(0.0, 0.01, (n_features, n_classes), generator=generator, dtype=dtype))
        self.b = nn.Parameter(torch.zeros(n_classes, dtype=dtype))

    def forward(self, X):
        return X @ self.W + self.b

    def logits(self, X):
        return self(X)

    @torch.no_grad()
    def predict_proba(self, X):
        return softmax(self(X), dim=1)

    @torch.no_grad()
    def predict(self, X):
        return self(X).argmax(dim=1)

    def fit(self, X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None):
        optimizer = torch.optim.SGD(
            [{"params": [self.W], "weight_decay": weight_decay}, {"params": [self.b], "weight_decay": 0.0}], lr=lr
        )
        history = []
        for _ in range(epochs):
            total = 0.0
            for batch in torch.randperm(len(X), generator=generator).split(batch_size):
                optimizer.zero_grad()
                loss = cross_entropy(self(X[batch]), y[batch])
                loss.backward()
                optimizer.step()
                total += loss.item() * batch.numel()
            history.append(total / len(X))
        return history
