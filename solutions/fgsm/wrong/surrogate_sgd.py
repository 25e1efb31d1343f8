"""Another optimiser.

exercise: surrogate
caught-by: surrogate_steps, surrogate_transfer
"""


def train_surrogate(victim_fn, surrogate, queries, *, epochs, lr, temperature, generator):
    wanted = (victim_fn(queries).detach() / temperature).softmax(dim=1)
    optimizer = torch.optim.SGD(surrogate.parameters(), lr=lr)
    surrogate.train()
    history = []
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(queries), generator=generator).split(64):
            log_q = (surrogate(queries[chosen]) / temperature).log_softmax(dim=1)
            loss = temperature**2 * F.kl_div(log_q, wanted[chosen], reduction="batchmean")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        history.append(total / len(queries))
    surrogate.eval()
    return history
