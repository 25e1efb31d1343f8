"""reduction="mean" divides by the number of classes as well.

exercise: surrogate
caught-by: surrogate_loss
told: the sum was divided by the number of classes as well; divide by n only
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
            loss = temperature**2 * F.kl_div(log_q, wanted[chosen], reduction="mean")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        history.append(total / len(queries))
    surrogate.eval()
    return history
