"""Each sample is poisoned with the probability rate.

exercise: poison
caught-by: poison_values
"""


def poison(x, y, trigger, target, rate, generator):
    if not 0 <= rate <= 1:
        raise ValueError("rate must lie between 0 and 1")
    chosen = (torch.rand(len(x), generator=generator) < rate).nonzero().flatten()
    images, labels = (x.clone(), y.clone())
    images[chosen] = trigger(x[chosen])
    labels[chosen] = target
    return (images, labels)
