"""Dropout and batch normalisation stay awake.

exercise: gradient
caught-by: gradient_eval
also-breaks: fgsm, pgd, training, bug
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    try:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(loss_fn(model(leaf), y), leaf)[0]
    finally:
        for module, training in modes:
            module.training = training
