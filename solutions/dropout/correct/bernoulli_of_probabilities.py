"""torch.bernoulli of a tensor of probabilities; the scale is clamped instead of p = 1 being a case of its own."""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not (p >= 0 and p <= 1):
        raise ValueError(p)
    keep = torch.full(shape, 1.0 - p, dtype=dtype, device=device)
    return torch.bernoulli(keep, generator=generator) / max(1 - p, 1e-30)


def dropout(x, p=0.5, training=True, generator=None):
    mask = dropout_mask(
        x.shape if training else (), p, dtype=x.dtype, generator=generator if training else torch.Generator()
    )
    return mask * x if training else x * 1


def dropout2d(x, p=0.5, training=True, generator=None):
    if x.dim() != 4:
        raise ValueError("need (N, C, H, W)")
    if not 0 <= p <= 1:
        raise ValueError("bad p")
    if training is False:
        return x.clone()
    mask = dropout_mask(x.size()[:2], p, generator=generator, dtype=x.dtype, device=x.device)
    return torch.einsum("nchw,nc->nchw", x, mask)
