"""One more call, to learn the shape of the output.

exercise: mc
caught-by: mc_only_dropout
"""


def mc_dropout_predict(model, x, n_samples):
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = isinstance(module, (Dropout, StandardDropout))
        with torch.no_grad():
            shape = model(x).shape
            samples = torch.stack([model(x) for _ in range(n_samples)]).reshape(n_samples, *shape)
    finally:
        for module, flag in flags:
            module.training = flag
    return samples.mean(0), samples.std(0, correction=0)
