"""A bad rate is accepted.

exercise: poison
caught-by: poison_choice
"""


def poison(x, y, trigger, target, rate, generator):
    chosen = torch.randperm(len(x), generator=generator)[: round(rate * len(x))]
    images, labels = (x.clone(), y.clone())
    images[chosen] = trigger(x[chosen])
    labels[chosen] = target
    return (images, labels)
