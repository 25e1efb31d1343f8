"""Fails inside no_grad.

exercise: gradient
caught-by: gradient_no_grad
also-breaks: fgsm, pgd
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.set_grad_enabled(torch.is_grad_enabled()):
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(loss_fn(model(leaf), y), leaf)[0]
    finally:
        for module, training in modes:
            module.training = training
