"""Labels are taken to start at 1.

exercise: one_hot
caught-by: one_hot_values
also-breaks: grads, model
told: labels were taken to start at 1; they start at 0
"""


def one_hot(y, q, dtype=torch.float32):
    return (y.unsqueeze(-1) == torch.arange(1, q + 1)).to(dtype)
