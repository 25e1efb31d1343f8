"""Indices are drawn with replacement.

exercise: batches
caught-by: minibatches_values
also-breaks: model
"""


def minibatches(n, batch_size, *, generator=None, shuffle=True, drop_last=False):
    order = torch.randint(n, (n,), generator=generator) if shuffle else torch.arange(n)
    for start in range(0, n, batch_size):
        if not drop_last or start + batch_size <= n:
            yield order[start : start + batch_size]
