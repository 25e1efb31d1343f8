"""Modes are lost when the model fails.

exercise: gradient
caught-by: gradient_error
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        result = torch.autograd.grad(loss_fn(model(leaf), y), leaf)[0]
    for module, training in modes:
        module.training = training
    return result
