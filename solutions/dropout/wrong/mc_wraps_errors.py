"""A failing model gives another exception.

exercise: mc
caught-by: mc_errors
"""


def mc_dropout_predict(model, x, n_samples):
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = isinstance(module, (Dropout, StandardDropout))
        with torch.no_grad():
            samples = torch.stack([model(x) for _ in range(n_samples)])
    except Exception as error:
        raise RuntimeError("the model failed") from error
    finally:
        for module, flag in flags:
            module.training = flag
    return samples.mean(0), samples.std(0, correction=0)
