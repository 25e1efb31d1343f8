"""PyTorch has it already.

exercise: dropout
caught-by: dropout_values
also-breaks: module, dropout2d, mlp
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    return torch.nn.functional.dropout(x, p)
