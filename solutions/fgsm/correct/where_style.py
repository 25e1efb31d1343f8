"""Comparisons instead of sign, and the loss turned round for targets."""


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    if not (torch.as_tensor(eps) >= 0).all():
        raise ValueError("the budget must not be negative")

    def objective(logits, labels):
        return loss_fn(logits, labels) * (-1 if targeted else 1)

    slope = input_gradient(model, x, y, objective)
    x = x.detach()
    moved = torch.where(slope > 0, x + eps, torch.where(slope < 0, x - eps, x))
    if clip is None:
        return moved
    low, high = (torch.as_tensor(bound, dtype=x.dtype) for bound in clip)
    return torch.minimum(torch.maximum(moved, low), high)


class BlurDefense(nn.Module):
    def __init__(self, model, k=3):
        super().__init__()
        if not (k >= 1 and k % 2 == 1):
            raise ValueError("k")
        self.network = model
        self.r = (k - 1) // 2

    def forward(self, x):
        h, w = x.shape[-2:]
        r = self.r
        rows = torch.arange(-r, h + r).clamp(0, h - 1)
        columns = torch.arange(-r, w + r).clamp(0, w - 1)
        wide = x[..., rows, :][..., columns]
        total = 0
        for a in range(2 * r + 1):
            for b in range(2 * r + 1):
                total = total + wide[..., a : a + h, b : b + w]
        return self.network(total / (2 * r + 1) ** 2)
