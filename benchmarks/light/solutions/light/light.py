# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # softmax regression

# %%
import torch


# %% nbgrader={"grade": false, "grade_id": "log_softmax", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="log_softmax"
def log_softmax(x):
    ### BEGIN SOLUTION
    m = x.max(dim=-1, keepdim=True).values
    return x - m - (x - m).exp().sum(-1, keepdim=True).log()
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t1", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
x = torch.randn(4, 5)
assert torch.allclose(log_softmax(x), torch.log_softmax(x, -1), atol=1e-5)


# %% nbgrader={"grade": false, "grade_id": "ce", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="cross_entropy"
def cross_entropy(x, y):
    ### BEGIN SOLUTION
    return -log_softmax(x)[torch.arange(len(y)), y].mean()
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t2", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
x = torch.randn(4, 5)
y = torch.tensor([0, 1, 2, 3])
assert torch.allclose(cross_entropy(x, y), torch.nn.functional.cross_entropy(x, y), atol=1e-5)


# %% nbgrader={"grade": false, "grade_id": "sgd", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="sgd_train"
def sgd_train(X, y, k, lr=0.5, steps=100):
    ### BEGIN SOLUTION
    W = torch.zeros(X.shape[1], k, requires_grad=True)
    b = torch.zeros(k, requires_grad=True)
    for _ in range(steps):
        loss = cross_entropy(X @ W + b, y)
        loss.backward()
        with torch.no_grad():
            W -= lr * W.grad
            b -= lr * b.grad
            W.grad = None
            b.grad = None
    return W.detach(), b.detach()
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "t3", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
g = torch.Generator().manual_seed(0)
X = torch.randn(300, 8, generator=g)
T = torch.randn(8, 3, generator=g)
y = (X @ T).argmax(1)
W, b = sgd_train(X, y, 3)
assert ((X @ W + b).argmax(1) == y).float().mean() > 0.9
