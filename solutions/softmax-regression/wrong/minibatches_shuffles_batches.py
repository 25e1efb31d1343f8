"""The batches are shuffled, not the samples.

exercise: batches
caught-by: minibatches_shuffle
"""


def minibatches(n, batch_size, *, generator=None, shuffle=True, drop_last=False):
    starts = torch.arange(0, n, batch_size)
    if shuffle:
        starts = starts[torch.randperm(len(starts), generator=generator)]
    batches = [torch.arange(start, min(start + batch_size, n)) for start in starts.tolist()]
    batches.sort(key=len, reverse=True)
    for batch in batches:
        if not drop_last or len(batch) == batch_size:
            yield batch
