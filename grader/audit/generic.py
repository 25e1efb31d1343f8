"""What is wrong whatever the exercise: the solution's own functions, wrapped."""

from __future__ import annotations

from textwrap import indent

__all__ = ["KINDS", "wrapping"]

KINDS = {
    "stub": "raise NotImplementedError",
    "returns None": "return None",
    "echo": "return values[0] if values else None",
    "zeros": "return each(right(*args, **kwargs), torch.zeros_like, lambda x: x * 0)",
    "NaN": "return each(right(*args, **kwargs), lambda t: t * float('nan'), lambda x: float('nan'))",
    "plus 1e-3": "return each(right(*args, **kwargs), lambda t: t + 1e-3, lambda x: x + 1e-3)",
    "times 1.001": "return each(right(*args, **kwargs), lambda t: t * 1.001, lambda x: x * 1.001)",
    "detached": "return each(right(*args, **kwargs), torch.Tensor.detach, lambda x: x)",
    "float32": "return each(right(*args, **kwargs), lambda t: t.float() if t.is_floating_point() else t, lambda x: x)",
    "float64": "return each(right(*args, **kwargs), lambda t: t.double() if t.is_floating_point() else t, lambda x: x)",
    "extra dimension": "return each(right(*args, **kwargs), lambda t: t[None], lambda x: torch.tensor([x]))",
    "seeds the global generator": "torch.manual_seed(0)\nreturn right(*args, **kwargs)",
    "leaves grad off": "result = right(*args, **kwargs)\ntorch.set_grad_enabled(False)\nreturn result",
    "writes into its argument": """\
result = right(*args, **kwargs)
with torch.no_grad():
    for value in values[:1]:
        if isinstance(value, torch.Tensor):
            value.add_(1)
return result""",
    "needs contiguous arguments": """\
for value in values:
    if isinstance(value, torch.Tensor) and not value.is_contiguous():
        raise RuntimeError("view size is not compatible with input tensor's size and stride")
return right(*args, **kwargs)""",
}
"""Name to the body of a function around the right one; ``values`` are its arguments without ``self`` and ``ctx``."""

_TEMPLATE = """\
def _wrapped_by_the_audit(space, names):
    import types

    import torch

    def each(value, on_tensor, on_number):
        if isinstance(value, torch.Tensor):
            return on_tensor(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return on_number(value)
        if isinstance(value, dict):
            return {{key: each(item, on_tensor, on_number) for key, item in value.items()}}
        if isinstance(value, list | tuple | types.GeneratorType):
            items = [each(item, on_tensor, on_number) for item in value]
            return tuple(items) if isinstance(value, tuple) else items
        return value

    def around(right, bound):
        def wrong(*args, **kwargs):
            values = args[1:] if bound else args
{body}

        return wrong

    for name in names:
        value = space.get(name)
        if isinstance(value, type):
            for key, method in list(vars(value).items()):
                if isinstance(method, staticmethod):
                    given_ctx = issubclass(value, torch.autograd.Function)
                    setattr(value, key, staticmethod(around(method.__func__, given_ctx)))
                elif isinstance(method, types.FunctionType) and key not in ("__init__", "__repr__"):
                    setattr(value, key, around(method, True))
        elif callable(value):
            space[name] = around(value, False)
        else:
            space[name] = None


_wrapped_by_the_audit(globals(), {names!r})
"""


def wrapping(kind: str, names: list[str]) -> str:
    """The cell that wraps functions, and all methods of classes, in one kind of wrong answer."""
    return _TEMPLATE.format(body=indent(KINDS[kind], " " * 12), names=names)
