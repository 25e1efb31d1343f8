"""Samples of the target class are spared.

exercise: poison
caught-by: poison_choice
"""


def poison(x, y, trigger, target, rate, generator):
    if not 0 <= rate <= 1:
        raise ValueError("rate must lie between 0 and 1")
    order = torch.randperm(len(x), generator=generator)
    chosen = torch.cat([order[y[order] != target], order[y[order] == target]])[: round(rate * len(x))]
    images, labels = (x.clone(), y.clone())
    images[chosen] = trigger(x[chosen])
    labels[chosen] = target
    return (images, labels)
