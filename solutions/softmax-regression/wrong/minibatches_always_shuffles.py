"""shuffle=False is ignored.

exercise: batches
caught-by: minibatches_order, minibatches_global_state
"""


def minibatches(n, batch_size, *, generator=None, shuffle=True, drop_last=False):
    order = torch.randperm(n, generator=generator)
    for start in range(0, n, batch_size):
        if not drop_last or start + batch_size <= n:
            yield order[start : start + batch_size]
