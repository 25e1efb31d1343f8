"""PyTorch's own softmax, by way of a module.

exercise: softmax
caught-by: softmax_values
also-breaks: grads, model
"""


def softmax(x, dim=-1):
    return torch.nn.Softmax(dim=dim)(x)
