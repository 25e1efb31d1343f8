"""Plain loops over samples and entries wherever the specification sets no cost."""


def one_hot(y, q, dtype=torch.float32):
    result = torch.zeros(y.numel(), q, dtype=dtype)
    for i, label in enumerate(y.flatten().tolist()):
        if not 0 <= label < q:
            raise ValueError(f"label {label} is not in 0 … {q - 1}")
        result[i, label] = 1
    return result.reshape(list(y.shape) + [q])


def softmax_regression_grads(X, y, W, b):
    logits = X @ W + b
    errors = softmax(logits, dim=1).clone()
    for i in range(len(X)):
        errors[i, y[i]] -= 1
    errors = errors / len(X)
    dW = torch.stack([(X * errors[:, k : k + 1]).sum(0) for k in range(W.shape[1])], dim=1)
    return cross_entropy(logits, y), dW, errors.sum(0)


def entropy(p, dim=-1):
    total = 0.0
    for column in p.unbind(dim):
        total = total - torch.where(column > 0, column * torch.where(column > 0, column, 1.0).log(), 0.0)
    return total


def minibatches(n, batch_size, *, generator=None, shuffle=True, drop_last=False):
    order = torch.randperm(n, generator=generator).tolist() if shuffle else list(range(n))
    while order:
        batch, order = order[:batch_size], order[batch_size:]
        if len(batch) == batch_size or not drop_last:
            yield torch.tensor(batch)


def accuracy(logits, y):
    right = 0
    for row, label in zip(logits, y):
        right += int(row.argmax() == label)
    return right / len(y)
