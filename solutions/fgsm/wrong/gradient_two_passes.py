"""The model is called once more than necessary.

exercise: gradient
caught-by: gradient_cost
also-breaks: fgsm, pgd, training
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            model(x)
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(loss_fn(model(leaf), y), leaf)[0]
    finally:
        for module, training in modes:
            module.training = training
