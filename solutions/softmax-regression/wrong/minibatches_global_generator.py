"""The generator is ignored; the global one is seeded.

exercise: batches
caught-by: minibatches_values
also-breaks: model
"""


def minibatches(n, batch_size, *, generator=None, shuffle=True, drop_last=False):
    torch.manual_seed(0)
    order = torch.randperm(n) if shuffle else torch.arange(n)
    for start in range(0, n, batch_size):
        if not drop_last or start + batch_size <= n:
            yield order[start : start + batch_size]
