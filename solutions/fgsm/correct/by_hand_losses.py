"""Losses written out, a data loader for the batches, and state kept in lists."""

from torch.utils.data import DataLoader, TensorDataset


def train_surrogate(victim_fn, surrogate, queries, *, epochs, lr, temperature, generator):
    with torch.no_grad():
        answers = torch.cat([victim_fn(part) for part in queries.split(32)])
        log_p = F.log_softmax(answers / temperature, dim=1)
    adam = torch.optim.Adam(params=list(surrogate.parameters()), lr=lr)
    means = []
    for _ in range(epochs):
        surrogate.train()
        order = torch.randperm(queries.shape[0], generator=generator)
        weighted = 0.0
        for i in range(0, len(order), 64):
            index = order[i : i + 64]
            log_q = F.log_softmax(surrogate(queries[index]) / temperature, dim=1)
            divergence = (log_p[index].exp() * (log_p[index] - log_q)).sum(dim=1)
            loss = divergence.mean() * temperature * temperature
            adam.zero_grad(set_to_none=False)
            loss.backward()
            adam.step()
            weighted += float(divergence.detach().sum()) * temperature**2
        means.append(weighted / len(order))
    surrogate.eval()
    return means


def adversarial_training_step(model, optimizer, x, y, eps, *, clip=(0.0, 1.0)):
    hard = pgd(model, x, y, eps, float(eps), 1, clip=clip)
    model.train(True)
    for parameter in model.parameters():
        parameter.grad = None
    log_p = torch.log_softmax(model(hard), dim=1)
    loss = -log_p.gather(1, y[:, None]).mean()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def robust_accuracy(model, x, y, attack=None, batch_size=256):
    modes = {name: module.training for name, module in model.named_modules()}
    right = torch.zeros((), dtype=torch.int64)
    try:
        model.eval()
        for images, labels in DataLoader(
            TensorDataset(x, y), batch_size=batch_size, shuffle=False, generator=torch.Generator()
        ):
            images = images if attack is None else attack(model, images, labels)
            right += (torch.topk(model(images).detach(), 1).indices[:, 0] == labels).sum()
    finally:
        for name, module in model.named_modules():
            module.training = modes[name]
    return int(right) / len(y)
