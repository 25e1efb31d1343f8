"""Always the cross-entropy.

exercise: gradient
caught-by: gradient_loss
also-breaks: fgsm, pgd
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(F.cross_entropy(model(leaf), y), leaf)[0]
    finally:
        for module, training in modes:
            module.training = training
