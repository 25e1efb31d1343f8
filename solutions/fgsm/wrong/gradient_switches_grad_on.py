"""Gradients stay switched on.

exercise: gradient
caught-by: gradient_no_grad
also-breaks: fgsm
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        torch.set_grad_enabled(True)
        if True:
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(loss_fn(model(leaf), y), leaf)[0]
    finally:
        for module, training in modes:
            module.training = training
