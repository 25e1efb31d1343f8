"""The gradient of the summed loss.

exercise: gradient
caught-by: gradient_values
told: the gradient of the summed loss was returned; the loss is a mean
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(len(x) * loss_fn(model(leaf), y), leaf)[0]
    finally:
        for module, training in modes:
            module.training = training
