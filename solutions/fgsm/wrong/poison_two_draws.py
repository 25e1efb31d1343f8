"""Images and labels are drawn separately.

exercise: poison
caught-by: poison_values
"""


def poison(x, y, trigger, target, rate, generator):
    if not 0 <= rate <= 1:
        raise ValueError("rate must lie between 0 and 1")
    chosen = torch.randperm(len(x), generator=generator)[: round(rate * len(x))]
    images, labels = (x.clone(), y.clone())
    images[chosen] = trigger(x[chosen])
    chosen = torch.randperm(len(x), generator=generator)[: round(rate * len(x))]
    labels[chosen] = target
    return (images, labels)
