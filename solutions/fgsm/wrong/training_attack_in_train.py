"""The attack sees the model in training mode.

exercise: training
caught-by: training_modes
"""


def adversarial_training_step(model, optimizer, x, y, eps, *, clip=(0.0, 1.0)):
    model.train()
    leaf = x.detach().requires_grad_()
    slope = torch.autograd.grad(F.cross_entropy(model(leaf), y), leaf)[0]
    adversarial = x.detach() + eps * slope.sign()
    if clip is not None:
        adversarial = adversarial.clamp(*clip)
    optimizer.zero_grad()
    loss = F.cross_entropy(model(adversarial), y)
    loss.backward()
    optimizer.step()
    return loss.item()
