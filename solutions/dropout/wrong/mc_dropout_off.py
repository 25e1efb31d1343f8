"""The model is simply evaluated.

exercise: mc
caught-by: mc_values
told: the dropout layers were off
"""


def mc_dropout_predict(model, x, n_samples):
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = False
        with torch.no_grad():
            samples = torch.stack([model(x) for _ in range(n_samples)])
    finally:
        for module, flag in flags:
            module.training = flag
    return samples.mean(0), samples.std(0, correction=0)
