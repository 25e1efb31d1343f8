"""One call for a batch that is n_samples times as large.

exercise: mc
caught-by: mc_values
"""


def mc_dropout_predict(model, x, n_samples):
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = isinstance(module, (Dropout, StandardDropout))
        with torch.no_grad():
            samples = model(x.repeat(n_samples, 1)).reshape(n_samples, len(x), -1)
    finally:
        for module, flag in flags:
            module.training = flag
    return samples.mean(0), samples.std(0, correction=0)
