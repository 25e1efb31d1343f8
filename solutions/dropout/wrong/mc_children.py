"""Only the direct children are looked at.

exercise: mc
caught-by: mc_values
told: the layers of class StandardDropout were off
"""


def mc_dropout_predict(model, x, n_samples):
    flags = [(module, module.training) for module in model.children()]
    try:
        for module, _ in flags:
            module.training = isinstance(module, (Dropout, StandardDropout))
        with torch.no_grad():
            samples = torch.stack([model(x) for _ in range(n_samples)])
    finally:
        for module, flag in flags:
            module.training = flag
    return samples.mean(0), samples.std(0, correction=0)
