"""The plain mean of the batch losses.

exercise: surrogate
caught-by: surrogate_steps
told: the plain mean of the batch losses was taken; weigh each by its size
"""


def train_surrogate(victim_fn, surrogate, queries, *, epochs, lr, temperature, generator):
    wanted = (victim_fn(queries).detach() / temperature).softmax(dim=1)
    optimizer = torch.optim.Adam(surrogate.parameters(), lr=lr)
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
            total += loss.item()
        history.append(total / -(-len(queries) // 64))
    surrogate.eval()
    return history
