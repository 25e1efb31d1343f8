"""In-place operators on copies of its own, and maxima that autograd sees."""


def logsumexp(x, dim, keepdim=False):
    m = x.clone().amax(dim, keepdim=True)
    m = m.masked_fill(m.isinf(), 0.0)
    z = x - m
    z.exp_()
    total = z.sum(dim, keepdim=True).log_()
    total += m
    return total if keepdim else total.squeeze(dim)


def softmax(x, dim=-1):
    z = x - x.amax(dim, keepdim=True)
    z.exp_()
    return z / z.sum(dim=dim, keepdim=True)


def log_softmax(x, dim=-1):
    z = x.clone()
    z -= x.detach().amax(dim, keepdim=True)
    z -= z.exp().sum(dim, keepdim=True).log()
    return z


def one_hot(y, q, dtype=torch.float32):
    rows = torch.zeros(y.numel(), q, dtype=dtype)
    for k in range(q):
        rows[y.reshape(-1) == k, k] = 1
    if bool((rows.double().sum(1) != 1).any()):
        raise IndexError("a label is out of range")
    return rows.reshape(*y.shape, q)
