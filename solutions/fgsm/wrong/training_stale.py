"""Old gradients stay in.

exercise: training
caught-by: training_stale, training_gains
"""


def adversarial_training_step(model, optimizer, x, y, eps, *, clip=(0.0, 1.0)):
    adversarial = fgsm(model, x, y, eps, clip=clip)
    model.train()
    loss = F.cross_entropy(model(adversarial), y)
    loss.backward()
    optimizer.step()
    return loss.item()
