"""The survivors are divided by p.

exercise: dropout
caught-by: dropout_values
also-breaks: module, dropout2d, mlp
told: the survivors were divided by p; they are divided by 1 − p
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    keep = torch.rand(x.shape, generator=generator) >= p
    return x * keep / p if p else x
