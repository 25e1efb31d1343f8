"""Modes kept by a context manager, shares of batches weighted by their sizes."""

from contextlib import contextmanager


@contextmanager
def evaluating(model):
    """The model in eval mode inside the block, as it was afterwards."""
    awake = [module for module in model.modules() if module.training]
    asleep = [module for module in model.modules() if not module.training]
    try:
        yield model.eval()
    finally:
        for module in awake:
            module.training = True
        for module in asleep:
            module.training = False


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    with evaluating(model) as network, torch.enable_grad():
        image = x.detach().clone().requires_grad_(True)
        score = loss_fn(network(image), y)
        (slope,) = torch.autograd.grad(outputs=score, inputs=[image])
        return slope.detach()


def robust_accuracy(model, x, y, attack=None, batch_size=256):
    total = 0.0
    with evaluating(model):
        for chosen in torch.arange(len(x)).split(batch_size):
            images = x[chosen] if attack is None else attack(model, x[chosen], y[chosen])
            with torch.inference_mode():
                logits = model(images)
            share = (logits.argmax(dim=-1) == y[chosen]).double().mean().item()
            total += share * len(chosen)
    return total / len(x)
