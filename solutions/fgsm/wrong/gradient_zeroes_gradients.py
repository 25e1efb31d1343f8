"""Gradients of the parameters are set to None, also those that were there before.

exercise: gradient
caught-by: gradient_parameters
also-breaks: fgsm, pgd, bug
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            loss_fn(model(leaf), y).backward()
            model.zero_grad()
            return leaf.grad
    finally:
        for module, training in modes:
            module.training = training
