"""Images of a wider type on the way, where the model allows it, and the type that came in at the end."""


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    eps = torch.as_tensor(eps, dtype=torch.float64)
    if (eps < 0).any():
        raise ValueError("eps must be at least 0")
    direction = input_gradient(model, x, y, loss_fn).sign().double()
    wide = x.detach().double() + (1 - 2 * int(targeted)) * eps * direction
    if clip is not None:
        wide = wide.clamp(*clip)
    return wide.to(x.dtype)


def adversarial_training_step(model, optimizer, x, y, eps, *, clip=(0.0, 1.0)):
    attacked_images = fgsm(model, x, y, eps, targeted=False, clip=clip, loss_fn=nn.CrossEntropyLoss())
    model.train()
    criterion = nn.CrossEntropyLoss(reduction="sum")
    loss = criterion(model(attacked_images), y) / len(y)
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    return loss.detach().item()


def poison(x, y, trigger, target, rate, generator):
    if rate < 0.0:
        raise ValueError("rate is negative")
    if rate > 1.0:
        raise ValueError("rate is above one")
    count = round(len(x) * rate)
    order = torch.randperm(len(x), generator=generator)
    chosen, _ = order[:count].sort()
    new_x, new_y = x.detach().clone(), y.clone()
    if count:
        new_x.index_copy_(0, chosen, trigger(x.index_select(0, chosen)))
        new_y.index_fill_(0, chosen, target)
    return new_x, new_y
