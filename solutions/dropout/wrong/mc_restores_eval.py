"""Afterwards everything is in evaluation mode.

exercise: mc
caught-by: mc_flags
"""


def mc_dropout_predict(model, x, n_samples):
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = isinstance(module, (Dropout, StandardDropout))
        with torch.no_grad():
            samples = torch.stack([model(x) for _ in range(n_samples)])
    finally:
        model.eval()
    return samples.mean(0), samples.std(0, correction=0)
