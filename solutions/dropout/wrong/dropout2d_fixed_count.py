"""The same number of channels is dropped in each sample.

exercise: dropout2d
caught-by: dropout2d_independence
"""


def dropout2d(x, p=0.5, training=True, generator=None):
    if x.ndim != 4:
        raise ValueError("x")
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    if p in (0, 1):
        return x * (1 - p)
    rank = torch.rand(x.shape[:2], generator=generator).argsort(1).argsort(1)
    return x * (rank >= round(p * x.shape[1]))[:, :, None, None].to(x.dtype) / (1 - p)
