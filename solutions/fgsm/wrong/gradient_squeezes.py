"""A dimension of size 1 is removed at the front.

exercise: gradient
caught-by: gradient_network
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(loss_fn(model(leaf), y), leaf)[0].squeeze(0)
    finally:
        for module, training in modes:
            module.training = training
