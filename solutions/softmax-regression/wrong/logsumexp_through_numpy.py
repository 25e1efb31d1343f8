"""By way of NumPy, which autograd cannot follow.

exercise: logsumexp
caught-by: logsumexp_values
"""

import numpy as np


def logsumexp(x, dim, keepdim=False):
    a = x.detach().numpy()
    m = a.max(axis=dim, keepdims=True)
    m[np.isinf(m)] = 0
    return torch.from_numpy(np.log(np.exp(a - m).sum(axis=dim, keepdims=True)) + m).sum(dim, keepdim=keepdim)
