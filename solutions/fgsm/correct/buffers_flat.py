"""Buffers of shape (c,), a convolution for the blur, masks for the poison."""


class Normalize(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor([float(value) for value in values]))

    def forward(self, x):
        return (x - self.mean[:, None, None]).div(self.std[:, None, None])


class BlurDefense(nn.Module):
    def __init__(self, model, k=3):
        if k <= 0 or k % 2 != 1:
            raise ValueError("k must be odd")
        super().__init__()
        self.add_module("inner", model)
        self.k = k

    def forward(self, x):
        c, r = x.shape[1], self.k // 2
        kernel = torch.full((c, 1, self.k, self.k), 1 / self.k**2, dtype=x.dtype, device=x.device)
        smooth = F.conv2d(F.pad(x, (r, r, r, r), "replicate"), kernel, groups=c)
        return self.inner(smooth)


def poison(x, y, trigger, target, rate, generator):
    if rate < 0 or rate > 1:
        raise ValueError("rate")
    n = len(y)
    keys = torch.rand(n, generator=generator, dtype=torch.float64)
    hit = torch.zeros(n, dtype=torch.bool)
    hit[keys.argsort()[: round(n * rate)]] = True
    images = torch.where(hit.view(-1, *[1] * (x.ndim - 1)), trigger(x.clone()), x)
    return images, y.masked_fill(hit, target)


def check_fgsm(attack):
    torch_state = torch.random.get_rng_state()
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 3))
    torch.random.set_rng_state(torch_state)
    with torch.no_grad():
        model[2].weight.copy_(torch.tensor([[1.0, -2.0, 0.5, 0.0], [-1.0, 0.7, 0.2, 0.0], [0.3, 0.1, -1.5, 0.0]]))
        model[2].bias.zero_()
    model[2].eval()
    x = torch.tensor([[[[0.5, 0.05], [0.95, 0.4]]], [[[0.0, 1.0], [0.5, 0.9]]], [[[0.6, 0.5], [0.4, 0.5]]]])
    y = torch.tensor([0, 1, 2])
    weight, bias = model[2].weight.detach(), model[2].bias.detach()
    slope = ((x.flatten(1) @ weight.T + bias).softmax(1) - torch.eye(3)[y]) @ weight
    sign = slope.view_as(x).sign()
    for targeted, direction in ((False, 1), (True, -1)):
        for low, high in ((0.0, 1.0), (-2.0, 2.0), (0.0, 0.6)):
            image = x.clamp(low, high)
            if high == 0.6:
                slope_here = ((image.flatten(1) @ weight.T).softmax(1) - torch.eye(3)[y]) @ weight
                sign_here = slope_here.view_as(x).sign()
            else:
                sign_here = sign
            result = attack(model, image, y, 0.2, targeted=targeted, clip=(low, high))
            expected = (image + direction * 0.2 * sign_here).clamp(low, high)
            assert result.shape == x.shape
            assert (result - expected).abs().max() < 1e-5, "not where it should be"
    assert [m.training for m in model] == [True, True, False] and model.training, "modes"
    for p in model.parameters():
        assert p.grad is None, "gradients were left behind"
