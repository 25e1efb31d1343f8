"""The running statistics are brought up to date first.

exercise: mc
caught-by: mc_batch_norm
"""


def mc_dropout_predict(model, x, n_samples):
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = isinstance(module, (Dropout, StandardDropout))
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.BatchNorm1d):
                    module.num_batches_tracked += 1
            samples = torch.stack([model(x) for _ in range(n_samples)])
    finally:
        for module, flag in flags:
            module.training = flag
    return samples.mean(0), samples.std(0, correction=0)
