"""The label's logit is differentiated, not the loss.

exercise: gradient
caught-by: gradient_values
also-breaks: fgsm, pgd, training, bug
told: a single logit was differentiated, not the loss
"""


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(model(leaf).gather(1, y.view(-1, 1)).sum(), leaf)[0]
    finally:
        for module, training in modes:
            module.training = training
