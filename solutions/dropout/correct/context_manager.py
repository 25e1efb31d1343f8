"""A context manager that switches modes, inference mode, and Welford's running mean and variance."""

from contextlib import contextmanager


@contextmanager
def _only_dropout(model):
    was = {module: module.training for module in model.modules()}
    for module in was:
        module.training = isinstance(module, Dropout | StandardDropout)
    try:
        yield
    finally:
        for module, training in was.items():
            module.training = training


def mc_dropout_predict(model, x, n_samples):
    with torch.inference_mode(), _only_dropout(model):
        mean, squares = 0, 0
        for t in range(1, n_samples + 1):
            y = model(x)
            step = y - mean
            mean = mean + step / t
            squares = squares + step * (y - mean)
    return mean.clone(), (squares / n_samples).clamp_min(0).sqrt()


class DropoutMLP(nn.Sequential):
    def __init__(self, d_in, hidden, d_out, p):
        hidden, p = list(hidden), list(p)
        if len(hidden) != len(p):
            raise ValueError("hidden and p differ in length")
        blocks = []
        for m, n, q in zip([d_in] + hidden[:-1], hidden, p):
            blocks.append(nn.Sequential(nn.Linear(m, n), nn.ReLU(), Dropout(q)))
        super().__init__(*blocks, nn.Linear(hidden[-1] if hidden else d_in, d_out))
