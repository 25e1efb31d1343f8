"""Numerical gradients on a flat copy that is changed in place and put back."""


@torch.no_grad()
def numerical_grad(f, x, eps=1e-6):
    point = x.to(torch.float64).contiguous().clone().detach()
    flat = point.view(-1)
    slopes = []
    for i in range(flat.numel()):
        here = flat[i].item()
        flat[i] = here + eps
        above = float(f(point.clone()))
        flat[i] = here - eps
        below = float(f(point.clone()))
        flat[i] = here
        slopes.append((above - below) / (2 * eps))
    return torch.tensor(slopes, dtype=torch.float64).view(x.shape)
