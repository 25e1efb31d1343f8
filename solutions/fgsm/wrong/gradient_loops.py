"""One pass for each sample.

exercise: gradient
caught-by: gradient_cost
also-breaks: fgsm, pgd, training
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            parts = [loss_fn(model(leaf[i : i + 1]), y[i : i + 1]) / len(x) for i in range(len(x))]
            return torch.autograd.grad(sum(parts), leaf)[0]
    finally:
        for module, training in modes:
            module.training = training
