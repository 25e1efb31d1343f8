"""assert_close compares shape, dtype and values at once, and raises AssertionError."""


def check_gradient(f, df):
    for shape in ((6, 4), (2, 5)):
        x = torch.empty(shape, dtype=torch.float64).uniform_(-3, 3).requires_grad_()
        expected = torch.autograd.functional.jacobian(f, x)
        torch.testing.assert_close(df(x.detach()), expected, rtol=1e-6, atol=1e-5)
