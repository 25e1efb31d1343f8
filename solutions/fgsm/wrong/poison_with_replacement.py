"""A sample can be drawn twice.

exercise: poison
caught-by: poison_values
"""


def poison(x, y, trigger, target, rate, generator):
    if not 0 <= rate <= 1:
        raise ValueError("rate must lie between 0 and 1")
    chosen = torch.randint(len(x), (round(rate * len(x)),), generator=generator)
    images, labels = (x.clone(), y.clone())
    images[chosen] = trigger(x[chosen])
    labels[chosen] = target
    return (images, labels)
