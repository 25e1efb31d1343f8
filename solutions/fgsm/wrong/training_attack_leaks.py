"""The gradients of the attack get into the update.

exercise: training
caught-by: training_step
"""


def adversarial_training_step(model, optimizer, x, y, eps, *, clip=(0.0, 1.0)):
    optimizer.zero_grad()
    model.eval()
    leaf = x.detach().requires_grad_()
    F.cross_entropy(model(leaf), y).backward()
    adversarial = x.detach() + eps * leaf.grad.sign()
    if clip is not None:
        adversarial = adversarial.clamp(*clip)
    model.train()
    loss = F.cross_entropy(model(adversarial), y)
    loss.backward()
    optimizer.step()
    return loss.item()
