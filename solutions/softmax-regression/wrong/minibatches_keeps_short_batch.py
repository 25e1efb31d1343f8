"""drop_last is ignored.

exercise: batches
caught-by: minibatches_drop_last
"""


def minibatches(n, batch_size, *, generator=None, shuffle=True, drop_last=False):
    order = torch.randperm(n, generator=generator) if shuffle else torch.arange(n)
    yield from order.split(batch_size)
