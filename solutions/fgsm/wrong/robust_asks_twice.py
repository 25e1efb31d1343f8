"""The model is called twice for each batch.

exercise: robust
caught-by: robust_batches
"""


def robust_accuracy(model, x, y, attack=None, batch_size=256):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    right = 0
    try:
        for images, labels in zip(x.split(batch_size), y.split(batch_size)):
            if attack is not None:
                images = attack(model, images, labels)
            with torch.no_grad():
                model(images)
                right += (model(images).argmax(dim=1) == labels).sum().item()
    finally:
        for module, training in modes:
            module.training = training
    return right / len(x)
