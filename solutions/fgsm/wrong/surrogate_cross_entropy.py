"""The cross-entropy with the victim's answers.

exercise: surrogate
caught-by: surrogate_loss
told: the cross-entropy was returned; the entropy of the victim's answers is still to be subtracted
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
            loss = temperature**2 * -(wanted[chosen] * log_q).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        history.append(total / len(queries))
    surrogate.eval()
    return history
