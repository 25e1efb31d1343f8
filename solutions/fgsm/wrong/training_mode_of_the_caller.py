"""The step is taken in the mode that the model is in.

exercise: training
caught-by: training_modes
"""


def adversarial_training_step(model, optimizer, x, y, eps, *, clip=(0.0, 1.0)):
    adversarial = fgsm(model, x, y, eps, clip=clip)
    optimizer.zero_grad()
    loss = F.cross_entropy(model(adversarial), y)
    loss.backward()
    optimizer.step()
    return loss.item()
