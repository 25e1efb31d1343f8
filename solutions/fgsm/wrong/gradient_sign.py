"""The sign is taken too early.

exercise: gradient
caught-by: gradient_values
told: the sign was taken already; here the gradient itself is due
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(loss_fn(model(leaf), y), leaf)[0].sign()
    finally:
        for module, training in modes:
            module.training = training
