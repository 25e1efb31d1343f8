"""After an error, autograd stays off.

exercise: mc
caught-by: mc_errors
"""


def mc_dropout_predict(model, x, n_samples):
    flags = [(module, module.training) for module in model.modules()]
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    try:
        for module, _ in flags:
            module.training = isinstance(module, (Dropout, StandardDropout))
        if True:
            samples = torch.stack([model(x) for _ in range(n_samples)])
    finally:
        for module, flag in flags:
            module.training = flag
    torch.set_grad_enabled(before)
    return samples.mean(0), samples.std(0, correction=0)
