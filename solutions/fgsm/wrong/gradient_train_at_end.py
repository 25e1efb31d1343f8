"""Everything is put into training mode at the end.

exercise: gradient
caught-by: gradient_modes
also-breaks: fgsm, pgd, bug
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(loss_fn(model(leaf), y), leaf)[0]
    finally:
        model.train()
