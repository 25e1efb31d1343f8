"""optimizer.step() is forgotten.

exercise: training
caught-by: training_step
told: no step was taken
"""


def adversarial_training_step(model, optimizer, x, y, eps, *, clip=(0.0, 1.0)):
    adversarial = fgsm(model, x, y, eps, clip=clip)
    model.train()
    optimizer.zero_grad()
    loss = F.cross_entropy(model(adversarial), y)
    loss.backward()
    return loss.item()
