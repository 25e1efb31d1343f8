"""The generator is seeded again in each epoch.

exercise: batches
caught-by: minibatches_shuffle
also-breaks: model
"""


def minibatches(n, batch_size, *, generator=None, shuffle=True, drop_last=False):
    if generator is not None:
        generator.manual_seed(0)
    order = torch.randperm(n, generator=generator) if shuffle else torch.arange(n)
    for start in range(0, n, batch_size):
        if not drop_last or start + batch_size <= n:
            yield order[start : start + batch_size]
