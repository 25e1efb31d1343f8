"""Half precision is widened for the sum and never narrowed again.

exercise: logsumexp
caught-by: logsumexp_dtype
"""


def logsumexp(x, dim, keepdim=False):
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()
    m = x.detach().amax(dim, keepdim=True)
    m = m.masked_fill(m.isinf(), 0.0)
    result = (x - m).exp().sum(dim, keepdim=True).log() + m
    return result if keepdim else result.squeeze(dim)
