"""Every image gets the trigger.

exercise: poison
caught-by: poison_values
told: every image was stamped
"""


def poison(x, y, trigger, target, rate, generator):
    if not 0 <= rate <= 1:
        raise ValueError("rate must lie between 0 and 1")
    chosen = torch.randperm(len(x), generator=generator)[: round(rate * len(x))]
    images, labels = (x.clone(), y.clone())
    images = trigger(x)
    labels[chosen] = target
    return (images, labels)
