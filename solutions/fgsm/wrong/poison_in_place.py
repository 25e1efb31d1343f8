"""Writes into x and y.

exercise: poison
caught-by: poison_values
"""


def poison(x, y, trigger, target, rate, generator):
    if not 0 <= rate <= 1:
        raise ValueError("rate must lie between 0 and 1")
    chosen = torch.randperm(len(x), generator=generator)[: round(rate * len(x))]
    images, labels = (x, y)
    images[chosen] = trigger(x[chosen])
    labels[chosen] = target
    return (images, labels)
