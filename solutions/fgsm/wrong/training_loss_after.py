"""The loss after the step.

exercise: training
caught-by: training_step
told: the loss after the step was returned; it is due from before the step
"""


def adversarial_training_step(model, optimizer, x, y, eps, *, clip=(0.0, 1.0)):
    adversarial = fgsm(model, x, y, eps, clip=clip)
    model.train()
    optimizer.zero_grad()
    loss = F.cross_entropy(model(adversarial), y)
    loss.backward()
    optimizer.step()
    return F.cross_entropy(model(adversarial), y).item()
