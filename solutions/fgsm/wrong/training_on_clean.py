"""The images as they came in.

exercise: training
caught-by: training_step
told: the loss of the images as they came in was returned; that of the attacked ones is due
"""


def adversarial_training_step(model, optimizer, x, y, eps, *, clip=(0.0, 1.0)):
    adversarial = fgsm(model, x, y, eps, clip=clip)
    model.train()
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()
