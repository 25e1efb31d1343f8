"""A graph is built in each call and thrown away.

exercise: mc
caught-by: mc_no_grad
"""


def mc_dropout_predict(model, x, n_samples):
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = isinstance(module, (Dropout, StandardDropout))
        if True:
            samples = torch.stack([model(x).detach() for _ in range(n_samples)])
    finally:
        for module, flag in flags:
            module.training = flag
    return samples.mean(0), samples.std(0, correction=0)
