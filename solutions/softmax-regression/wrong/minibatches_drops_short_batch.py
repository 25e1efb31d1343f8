"""A short last batch is always left out.

exercise: batches
caught-by: minibatches_values
also-breaks: model
"""


def minibatches(n, batch_size, *, generator=None, shuffle=True, drop_last=False):
    order = torch.randperm(n, generator=generator) if shuffle else torch.arange(n)
    for start in range(0, n - batch_size + 1, batch_size):
        yield order[start : start + batch_size]
