"""Written like NumPy: axis, boolean arithmetic, float64 inside; random numbers still come from torch."""

import numpy as np


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if np.isnan(p) or not np.logical_and(p >= 0, p <= 1):
        raise ValueError("p must lie in [0, 1]")
    keep = torch.rand(shape, generator=generator, dtype=torch.float64).numpy() >= p
    mask = np.asarray(keep / (1 - p) if p != 1 else np.zeros(shape))
    return torch.from_numpy(mask).to(dtype=dtype, device=device)


def mc_dropout_predict(model, x, n_samples):
    modules = list(model.modules())
    before = np.array([module.training for module in modules])
    try:
        model.eval()
        for module in modules:
            if isinstance(module, Dropout) or isinstance(module, StandardDropout):
                module.train()
        with torch.no_grad():
            outputs = [model(x) for _ in range(n_samples)]
    finally:
        for module, flag in zip(modules, before):
            module.training = bool(flag)
    outputs = torch.stack(outputs, axis=0)
    mean = torch.mean(outputs, axis=0)
    return mean, torch.sqrt(torch.mean((outputs - mean) ** 2, axis=0))
