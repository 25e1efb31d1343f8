"""requires_grad is switched on in the caller's own tensors.

exercise: grads
caught-by: grads_values
"""


def softmax_regression_grads(X, y, W, b):
    W.requires_grad_()
    b.requires_grad_()
    loss = cross_entropy(X @ W + b, y)
    dW, db = torch.autograd.grad(loss, (W, b))
    return loss.detach(), dW, db
