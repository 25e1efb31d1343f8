"""Uniform numbers, a comparison and torch.where everywhere; nothing of one exercise is used in another."""


def _probability(p):
    if p != p or p < 0 or p > 1:
        raise ValueError("not a probability")
    return float(p)


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    p = _probability(p)
    if p == 1:
        return torch.zeros(shape, dtype=dtype, device=device)
    drop = torch.rand(shape, generator=generator, device=device) < p
    value = torch.tensor(1 / (1 - p), dtype=dtype, device=device)
    return torch.where(drop, torch.zeros((), dtype=dtype, device=device), value)


def dropout(x, p=0.5, training=True, generator=None):
    p = _probability(p)
    if not training:
        return x.clone()
    drop = torch.rand(x.shape, generator=generator, device=x.device) < p
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return torch.where(drop, torch.zeros_like(x), x * scale)


def dropout2d(x, p=0.5, training=True, generator=None):
    p = _probability(p)
    if len(x.shape) != 4:
        raise ValueError("four dimensions are due")
    if not training:
        return x
    n, c, _, _ = x.shape
    drop = torch.rand((n, c), generator=generator, device=x.device)[:, :, None, None] < p
    return torch.where(drop, torch.zeros_like(x), x * (0.0 if p == 1 else 1 / (1 - p)))
