"""One coin a pixel.

exercise: dropout2d
caught-by: dropout2d_values
told: the coin was flipped for each pixel; a channel is dropped as a whole
"""


def dropout2d(x, p=0.5, training=True, generator=None):
    if x.ndim != 4:
        raise ValueError("x")
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    return dropout(x, p, training, generator)
