"""Hidden checks of convolutional networks: 68 of the 100 points; 2 more are given by a person.

The gates are in test_public.py. Values and gradients are compared in float64 with PyTorch's own functions, which run
here; many small cases go through one probe, so that a check costs one request.
"""

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from grader.checks import check, close, contract, fail, holds, probe, race, spy, type_names, watch

F64, F32 = torch.float64, torch.float32
NAN = float("nan")


def randn(rng, *shape, dtype=F64):
    """Standard normal numbers."""
    return torch.randn(*shape, generator=rng, dtype=F64).to(dtype)


def leaf(rng, *shape):
    """Standard normal numbers that want a gradient."""
    return randn(rng, *shape).requires_grad_()


def differentiable(fn, *inputs):
    """Compare gradients with finite differences, along one direction that is drawn from a fixed seed."""
    if not torch.autograd.gradcheck(fn, inputs, raise_exception=False, fast_mode=True):
        fail("The gradient is not the derivative of the result.", kind="gradient")


# --------------------------------------------------------------------------------------------------- 1. sizes


@probe
def sizes_of(student, cases):
    """The size, or None for a ValueError, in each case."""
    found = []
    for case in cases:
        try:
            found.append(student.conv_output_size(*case))
        except ValueError:
            found.append(None)
    return found


def counted(n, k, s, p, d):
    """Count the windows one by one."""
    return sum(1 for start in range(-p, n + p, s) if start + d * (k - 1) < n + p) or None


@check("sizes", points=2, hint="Count the windows by hand for n = 6, k = 3 and strides 1, 2 and 3.")
def test_output_size_counting(student):
    """conv_output_size agrees with counting the windows one by one, wherever one fits."""
    ranges = (range(1, 12), range(1, 5), range(1, 4), range(3), range(1, 4))
    cases = [case for case in itertools.product(*ranges) if counted(*case)]
    expected = [counted(*case) for case in cases]
    close(
        sizes_of(student, cases),
        expected,
        what="the list of sizes",
        misconceptions={
            "the size was rounded up": [-(-(n + 2 * p - d * (k - 1) - 1) // s) + 1 for n, k, s, p, d in cases]
        },
    )
    close(sizes_of(student, [(9, 4), (9, 4, 2), (9, 4, 2, 1)]), [6, 3, 4], what="the list of sizes with defaults")


@check("sizes", points=1, hint="d(k−1) + 1 > n + 2p: not even one window fits. Then raise ValueError.")
def test_output_size_errors(student):
    """conv_output_size raises ValueError if no window fits, and only then."""
    ranges = (range(1, 6), range(1, 6), range(1, 4), range(2), range(1, 4))
    cases = list(itertools.product(*ranges))
    found = sizes_of(student, cases)
    close([value is None for value in found], [counted(*case) is None for case in cases], what="the list of errors")


def field(layers):
    """The pixels that position 0 behind the layers depends on, from the last layer back to the picture."""
    places = {0}
    for k, s, *d in reversed(layers):
        places = {place * s + tap * (d[0] if d else 1) for place in places for tap in range(k)}
    return max(places) - min(places) + 1


@probe
def fields_of(student, stacks):
    """The receptive field of each stack."""
    return [student.receptive_field(layers) for layers in stacks]


@check(
    "sizes", points=2, hint="Dilation counts in its own layer only, stride in all that follow. No layers: one pixel."
)
def test_receptive_field_counting(student, rng):
    """receptive_field agrees with following the pixels back through random stacks, dilated ones too."""

    def draw(low, high):
        return int(torch.randint(low, high, (), generator=rng))

    stacks = [[], [(1, 1)], [(1, 3), (3, 1)], [(2, 2, 3), (3, 1)], [(3, 1, 2), (3, 2)]]
    for length in (1, 2, 3, 4, 5):
        for _ in range(4):
            layers = [(draw(1, 5), draw(1, 4), draw(1, 4)) for _ in range(length)]
            stacks += [layers, [layer[:2] for layer in layers], [layer[: draw(2, 4)] for layer in layers]]
    expected = [field(layers) for layers in stacks]
    found = fields_of(student, stacks)
    close(found, expected, what="the list of receptive fields")
    contract(student.receptive_field, [(3, 2), (3, 1, 2)])


# ----------------------------------------------------------------------------------------------------- 2. pad


@check(
    "pad", points=1, hint="(ph, pw): ph rows above and below, pw columns left and right. F.pad takes the columns first."
)
def test_pad_shapes(student, rng):
    """pad2d takes pairs and any number of leading dimensions."""
    for shape in ((3, 4), (2, 3, 4), (2, 1, 3, 2, 4)):
        x = randn(rng, *shape)
        for ph, pw in ((0, 2), (3, 1), (2, 0)):
            close(contract(student.pad2d, x, (ph, pw)), F.pad(x, (pw, pw, ph, ph)))


@check("pad", points=1, hint="Only the frame holds value; a product with a mask makes nan of infinities.")
def test_pad_value(student, rng):
    """pad2d fills the frame, and nothing else, with any value, infinite ones too."""
    for value in (2.5, -1, float("inf"), -float("inf")):
        x = leaf(rng, 2, 3, 2)
        expected = F.pad(x, (1, 1, 2, 2), value=value)
        result = student.pad2d(x, (2, 1), value=value)
        close(result, expected.detach())
        weight = torch.zeros_like(expected)
        weight[..., 2:-2, 1:-1] = randn(rng, 2, 3, 2)
        inside = result[..., 2:-2, 1:-1] * weight[..., 2:-2, 1:-1]
        if not result.requires_grad:
            fail("The result is cut off from autograd.", kind="gradient")
        close(torch.autograd.grad(inside.sum(), x)[0], weight[..., 2:-2, 1:-1], what="the gradient")


@check("pad", points=1, hint="new_full, new_zeros and F.pad keep the dtype; torch.zeros needs to be told.")
def test_pad_dtype(student):
    """pad2d keeps the dtype, of integers too."""
    for dtype in (torch.int64, torch.uint8, torch.float16, F64):
        x = torch.arange(1, 7).view(1, 2, 3).to(dtype)
        close(student.pad2d(x, 1, 3), F.pad(x, (1, 1, 1, 1), value=3))
        close(student.pad2d(x, (1, 0)), F.pad(x, (0, 0, 1, 1)))


# -------------------------------------------------------------------------------------------------- 3. conv2d


@probe
def convolutions(student, x, cases):
    """conv2d of x in each case: a weight, a bias, and options."""
    return [student.conv2d(x, weight, bias, **options) for weight, bias, options in cases]


def compare_convolutions(student, x, cases, **ideas):
    """Compare conv2d with PyTorch's in each case."""
    found = convolutions(student, x, cases)
    if not isinstance(found, list):
        fail("A tensor is due for each call.", kind="type")
    for got, (weight, bias, options) in zip(found, cases, strict=True):
        wrong = {clause: idea(x, weight, bias, **options) for clause, idea in ideas.get("misconceptions", {}).items()}
        close(got, F.conv2d(x, weight, bias, **options), misconceptions=wrong)


def exchanged(name):
    """PyTorch's conv2d with the pair ``name`` the wrong way round."""

    def wrong(x, weight, bias, **options):
        vertical, horizontal = options[name]
        return F.conv2d(x, weight, bias, **{**options, name: (horizontal, vertical)})

    return wrong


def without(name, value):
    """PyTorch's conv2d that ignores an option."""

    def wrong(x, weight, bias, **options):
        return F.conv2d(x, weight, bias, **{**options, name: value})

    return wrong


@check("conv2d", points=2, hint="A stride of (2, 1) goes two rows down and one column to the right.")
def test_conv2d_stride(student, rng):
    """conv2d takes different vertical and horizontal strides, on pictures that are not square."""
    x, weight, bias = randn(rng, 2, 3, 9, 7), randn(rng, 4, 3, 3, 2), randn(rng, 4)
    cases = [(weight, bias, {"stride": stride}) for stride in ((2, 1), (1, 3), (4, 2), (9, 9))]
    compare_convolutions(
        student,
        x,
        cases,
        misconceptions={"height and width were exchanged in the stride": exchanged("stride")},
    )


@check("conv2d", points=2, hint="(ph, pw): ph rows of zeros above and below, pw columns left and right.")
def test_conv2d_padding(student, rng):
    """conv2d takes different vertical and horizontal paddings, smaller and larger than the kernel."""
    x, weight, bias = randn(rng, 2, 3, 4, 6), randn(rng, 4, 3, 2, 3), randn(rng, 4)
    cases = [(weight, bias, {"padding": padding}) for padding in ((2, 1), (0, 3), (4, 0), (5, 5))]
    compare_convolutions(
        student,
        x,
        cases,
        misconceptions={"height and width were exchanged in the padding": exchanged("padding")},
    )


@check("conv2d", points=2, hint="Tap (a, b) of the window at (i, j) reads pixel (i·sh + a·dh, j·sw + b·dw).")
def test_conv2d_dilation(student, rng):
    """conv2d takes dilations, equal and different, with and without a stride."""
    x, weight, bias = randn(rng, 2, 3, 9, 8), randn(rng, 4, 3, 3, 2), randn(rng, 4)
    dilations = ((2, 2), (1, 3), (4, 1), (3, 4))
    cases = [(weight, bias, {"dilation": dilation}) for dilation in dilations]
    cases += [(weight, bias, {"dilation": dilation, "stride": (2, 3)}) for dilation in dilations]
    compare_convolutions(
        student,
        x,
        cases,
        misconceptions={
            "height and width were exchanged in the dilation": exchanged("dilation"),
            "the dilation was ignored": without("dilation", 1),
        },
    )


def interleaved(x, weight, bias, groups):
    """Groups taken as every groups-th input channel."""
    order = torch.arange(x.shape[1]).view(-1, groups).t().flatten()
    return F.conv2d(x[:, order], weight, bias, groups=groups)


def dealt(x, weight, bias, groups):
    """Output channels dealt out to the groups in turn."""
    order = torch.arange(len(weight)).view(-1, groups).t().flatten()
    result = F.conv2d(x, weight[order], None, groups=groups)[:, order.argsort()]
    return result if bias is None else result + bias.view(-1, 1, 1)


@check("conv2d", points=2, hint="The first O/g output channels read the first C/g input channels, and so on.")
def test_conv2d_groups(student, rng):
    """conv2d keeps groups apart: each block of output channels reads its own block of input channels."""
    x, bias = randn(rng, 2, 6, 5, 4), randn(rng, 12)
    for groups in (2, 3, 6):
        weight = randn(rng, 12, 6 // groups, 3, 2)
        compare_convolutions(
            student,
            x,
            [(weight, bias, {"groups": groups}), (weight[: 2 * groups], None, {"groups": groups})],
            misconceptions={
                "a group reads every g-th channel; its channels lie side by side": interleaved,
                "the output channels were dealt out to the groups in turn; they lie side by side": dealt,
            },
        )


@check(
    "conv2d",
    points=1,
    hint="groups = C: the weight is (C · m, 1, kh, kw), and channel c makes outputs c·m … c·m + m − 1.",
)
def test_conv2d_depthwise(student, rng):
    """conv2d with a group for each channel is a depthwise convolution, also with two kernels a channel."""
    x = randn(rng, 2, 3, 6, 5)
    weight, bias = randn(rng, 6, 1, 3, 3), randn(rng, 6)
    expected = F.conv2d(x, weight, bias, stride=2, padding=1, groups=3)
    close(contract(student.conv2d, x, weight, bias, stride=2, padding=1, groups=3), expected)
    close(student.conv2d(x, weight[:3], groups=3), F.conv2d(x, weight[:3], groups=3))


@check("conv2d", points=3, hint="Try them in pairs: which two options go wrong together?")
def test_conv2d_combinations(student, rng):
    """conv2d is right for all 81 combinations of three strides, paddings, dilations and numbers of groups."""
    x, bias = randn(rng, 2, 4, 9, 8), randn(rng, 8)
    weights = {groups: randn(rng, 8, 4 // groups, 3, 2) for groups in (1, 2, 4)}
    options = itertools.product((1, 2, (3, 2)), (0, (2, 1), (1, 2)), (1, 2, (1, 3)), (1, 2, 4))
    cases = [
        (weights[groups], bias, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups})
        for stride, padding, dilation, groups in options
    ]
    compare_convolutions(student, x, cases)


@check(
    "conv2d",
    points=1,
    hint="A 1 × 1 kernel, one as large as the picture, a picture of one pixel: nothing is special there.",
)
def test_conv2d_sizes(student, rng):
    """conv2d takes kernels of one pixel and of the picture's size, pictures of one pixel, and an impulse."""
    impulse = torch.zeros(1, 1, 5, 5, dtype=F64)
    impulse[0, 0, 2, 2] = 1
    for x, shape, padding in (
        (randn(rng, 2, 3, 4, 5), (2, 3, 1, 1), 0),
        (randn(rng, 2, 3, 4, 5), (2, 3, 4, 5), 0),
        (randn(rng, 1, 2, 1, 1), (3, 2, 3, 3), 1),
        (randn(rng, 1, 2, 1, 6), (1, 2, 1, 4), (0, 2)),
        (randn(rng, 3, 1, 7, 1), (1, 1, 2, 1), (1, 0)),
        (impulse, (1, 1, 3, 3), 0),
    ):
        weight, bias = randn(rng, *shape), randn(rng, shape[0])
        compare_convolutions(student, x, [(weight, bias, {"padding": padding}), (weight, None, {"padding": padding})])


@check(
    "conv2d",
    points=1,
    hint="view needs memory in order; reshape and einsum do not. as_strided must ask for x.stride().",
)
def test_conv2d_layouts(student, rng):
    """conv2d takes permuted, sliced and expanded tensors, and leaves them as they are."""
    weight, bias = randn(rng, 3, 3, 2, 4).permute(0, 2, 3, 1)[..., ::2], randn(rng, 6)[::2]
    weight = weight[:, :2]
    for x in (
        randn(rng, 2, 6, 5, 2).permute(0, 3, 1, 2),
        randn(rng, 4, 4, 9, 10)[::2, 1::2, ::2, 2:9],
        randn(rng, 1, 2, 5, 1).expand(3, 2, 5, 6),
        randn(rng, 1, 1, 6, 5).expand(2, 2, 6, 5).transpose(2, 3),
    ):
        options = {"stride": (1, 2), "padding": (1, 2)}
        expected = F.conv2d(x, weight, bias, **options)
        close(student.conv2d(x, weight, bias, **options), expected)
        contract(student.conv2d, x, weight, bias, **options)


@check(
    "conv2d",
    points=3,
    hint="No .data, .detach(), .item() or numpy on the way; torch's own operations know their gradients.",
)
def test_conv2d_gradients(student, rng):
    """conv2d has the right gradients for strides, paddings, dilations and groups."""
    weight, bias = leaf(rng, 4, 2, 2, 3), leaf(rng, 4)
    grouped, x = leaf(rng, 4, 1, 2, 2), leaf(rng, 2, 2, 5, 6)
    differentiable(lambda x, w, b: student.conv2d(x, w, b, stride=(2, 1), padding=(1, 2)), x, weight, bias)
    differentiable(lambda x, w: student.conv2d(x, w, dilation=(2, 3), groups=2), x, grouped)
    upstream = randn(rng, 2, 4, 2, 5)
    options = {"stride": 2, "padding": (0, 2), "dilation": (2, 1), "groups": 2}
    result, expected = student.conv2d(x, grouped, bias, **options), F.conv2d(x, grouped, bias, **options)
    for name, got, due in zip(
        ("x", "weight", "bias"),
        torch.autograd.grad((result * upstream).sum(), (x, grouped, bias)),
        torch.autograd.grad((expected * upstream).sum(), (x, grouped, bias)),
        strict=True,
    ):
        close(got, due, what=f"the gradient of {name}")


@probe
def refused(student, name, cases):
    """In each case, whether the function raises ValueError; other exceptions go through."""
    found = []
    for args, options in cases:
        try:
            getattr(student, name)(*args, **options)
        except ValueError:
            found.append(True)
        else:
            found.append(False)
    return found


@check(
    "conv2d",
    points=2,
    hint="Check C = groups · weight.shape[1], O % groups, the shape of bias, and that a window fits.",
)
def test_conv2d_errors(student):
    """conv2d raises ValueError for groups and biases that do not fit, and for an empty output; not for what just fits."""

    def case(x, weight, bias=None, **options):
        return (torch.zeros(1, *x), torch.zeros(weight), None if bias is None else torch.zeros(bias)), options

    wrong = [
        case((4, 5, 5), (6, 2, 3, 3), groups=4),
        case((4, 5, 5), (5, 2, 3, 3), groups=2),
        case((6, 5, 5), (4, 2, 3, 3), groups=3),
        case((2, 5, 5), (3, 2, 3, 3), (4,)),
        case((2, 5, 5), (3, 2, 3, 3), (1,)),
        case((2, 5, 5), (3, 2, 3, 3), (3, 1)),
        case((2, 2, 5), (3, 2, 3, 3)),
        case((2, 5, 2), (3, 2, 3, 3)),
        case((2, 4, 5), (3, 2, 3, 3), dilation=(2, 1)),
        case((2, 5, 4), (3, 2, 3, 3), dilation=2),
        case((2, 1, 5), (3, 2, 4, 3), padding=(1, 0)),
    ]
    fits = [
        case((4, 3, 3), (6, 2, 3, 3), (6,), groups=2),
        case((2, 5, 5), (3, 2, 3, 3), dilation=2),
        case((2, 2, 5), (3, 2, 4, 3), padding=(1, 0)),
    ]
    found = refused(student, "conv2d", wrong + fits)
    close(found, [True] * len(wrong) + [False] * len(fits), what="the list of errors")


def im2col_bytes(x, weight, out):
    """The memory of all windows of all pictures and channels."""
    return x.shape[0] * x.shape[1] * weight.shape[2] * weight.shape[3] * out.shape[2] * out.shape[3] * x.element_size()


@check("conv2d", points=2, hint="No Python loop over pixels, channels or samples: all windows at once.")
def test_conv2d_operations(student, reference, rng):
    """conv2d takes few operations, however large the pictures are, and at most 20 times as long as our solution."""
    small, large = (
        watch(student.conv2d, randn(rng, *x, dtype=F32), randn(rng, *weight, dtype=F32), padding=1).op_count
        for x, weight in (((1, 2, 8, 8), (3, 2, 3, 3)), ((8, 6, 24, 24), (12, 6, 3, 3)))
    )
    if small > 60 + 25 * 9:
        fail("Too many operations for one small picture.", kind="cost")
    if large > 1.2 * small + 4:
        fail("The number of operations grows with the picture, the channels or the batch.", kind="cost")
    race(student.conv2d, reference.conv2d, pictures(rng, 8, 24), at_most=20)


def pictures(rng, n, size):
    """Draws n pictures of 6 channels, about so large, and 12 kernels; never the same height twice in a row."""

    def draw():
        height = int(torch.randint(size - size // 8, size + 1, (), generator=rng))
        return randn(rng, n, 6, height, size, dtype=F32), randn(rng, 12, 6, 3, 3, dtype=F32)

    return draw


@check("conv2d", points=1, hint="Sum over channels and window with a matrix product or einsum, not with * and sum.")
def test_conv2d_memory(student, reference, rng):
    """conv2d never holds more than three times the memory of all its windows."""
    x, weight = randn(rng, 8, 6, 24, 24, dtype=F32), randn(rng, 12, 6, 3, 3, dtype=F32)
    seen = watch(student.conv2d, x, weight)
    if seen.peak_bytes > 3 * im2col_bytes(x, weight, F.conv2d(x, weight)):
        fail("At its peak, your function holds more than three times the memory of all windows.", kind="cost")
    holds(student.conv2d, reference.conv2d, pictures(rng, 32, 64), at_most=6)


# ------------------------------------------------------------------------------------------------- 4. pooling


@probe
def poolings(student, name, x, cases):
    """The pooling of x in each case."""
    return [getattr(student, name)(x, k, **options) for k, options in cases]


@check("pooling", points=2, hint="stride=None means stride=k; a given stride may be smaller or larger than the window.")
def test_pool_strides(student, rng):
    """Both poolings take pairs, overlapping windows and gaps, and leave out what does not fill a window."""
    x = randn(rng, 2, 3, 9, 7)
    cases = [
        (3, {}),
        ((2, 3), {}),
        ((3, 2), {"stride": (1, 2)}),
        (2, {"stride": 3}),
        (2, {"stride": 1}),
        (1, {}),
        ((1, 4), {"stride": (2, 1)}),
    ]
    for name, theirs in (("max_pool2d", F.max_pool2d), ("avg_pool2d", F.avg_pool2d)):
        for got, (k, options) in zip(poolings(student, name, x, cases), cases, strict=True):
            close(
                got,
                theirs(x, k, **options),
                what=f"the result of {name}",
                misconceptions={
                    "height and width were exchanged": lambda k=k, theirs=theirs: theirs(x.mT, k).mT,
                    "windows that are not full were counted": lambda k=k, o=options, theirs=theirs: theirs(
                        x, k, ceil_mode=True, **o
                    ),
                },
            )
        close(getattr(student, name)(x, (9, 7)), theirs(x, (9, 7)), what=f"the result of {name} for one window")


@check("pooling", points=2, hint="A frame of zeros is the maximum of a window of negative numbers: pad with −∞.")
def test_max_pool_padding(student, rng):
    """max_pool2d does not notice its frame, for negative numbers either."""
    x = -1 - randn(rng, 2, 3, 6, 5).abs()
    cases = [(2, {"padding": 1}), (3, {"padding": 1, "stride": 2}), ((3, 2), {"padding": (0, 1)})]
    cases += [((2, 4), {"padding": (1, 2), "stride": 1}), ((4, 5), {"padding": 2})]
    for got, (k, options) in zip(poolings(student, "max_pool2d", x, cases), cases, strict=True):
        zeros = F.pad(x, [p for p in reversed(pair(options["padding"])) for _ in range(2)])
        close(
            got,
            F.max_pool2d(x, k, **options),
            misconceptions={
                "the frame of zeros won against negative numbers": F.max_pool2d(zeros, k, options.get("stride")),
            },
        )
    contract(student.max_pool2d, x, (4, 5), padding=2)


def pair(value):
    """(vertical, horizontal)."""
    return value if isinstance(value, tuple) else (value, value)


@check("pooling", points=2, hint="Divide by kh · kw, or by the number of pixels of the window that are not frame.")
def test_avg_pool_padding(student, rng):
    """avg_pool2d counts the zeros of its frame, or leaves them out if it is told so."""
    x = 3 + randn(rng, 2, 3, 6, 5)
    x[..., ::2, 1::2] = 0
    cases = [
        (k, {"padding": padding, **stride, **count})
        for k, padding in ((2, 1), (3, 1), ((3, 2), (0, 1)), ((2, 5), (1, 2)))
        for stride in ({}, {"stride": 1}, {"stride": (2, 3)})
        for count in ({}, {"count_include_pad": True}, {"count_include_pad": False})
    ]
    for got, (k, options) in zip(poolings(student, "avg_pool2d", x, cases), cases, strict=True):
        other = {**options, "count_include_pad": not options.get("count_include_pad", True)}
        close(
            got,
            F.avg_pool2d(x, k, **options),
            misconceptions={
                "the zeros of the frame were counted where they should not be, or the other way round": F.avg_pool2d(
                    x, k, **other
                ),
            },
        )
    contract(student.avg_pool2d, x, 3, padding=1, count_include_pad=False)


@check("pooling", points=1, hint="Where several pixels are the maximum, their shares of the gradient sum to 1.")
def test_max_pool_ties(student):
    """max_pool2d passes on a gradient of exactly 1 for each window, also where several pixels are the maximum."""
    x = torch.tensor(
        [[2.0, 2.0, 0.0, 0.0], [2.0, 1.0, 0.0, 0.0], [-1.0, 5.0, 3.0, 3.0], [5.0, -2.0, 1.0, 3.0]], dtype=F64
    )
    x = x.view(1, 1, 4, 4).requires_grad_()
    result = student.max_pool2d(x, 2)
    if not result.requires_grad:
        fail("The result is cut off from autograd.", kind="gradient")
    (gradient,) = torch.autograd.grad(result.sum(), x)
    shares = F.avg_pool2d(gradient, 2) * 4
    close(shares, torch.ones(1, 1, 2, 2, dtype=F64), what="the gradient, summed over each window")
    below = x.detach() < F.max_pool2d(x.detach(), 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    close(gradient[below], torch.zeros(int(below.sum()), dtype=F64), what="the gradient of what is not the maximum")


@check(
    "pooling",
    points=1,
    hint="A comparison with nan is never true: torch.maximum and amax keep it, > and where lose it.",
)
def test_max_pool_nan(student):
    """max_pool2d gives nan for a window with a nan, and for no other."""
    for place in range(4):
        x = torch.arange(16, dtype=F64).view(1, 1, 4, 4) - 20
        x[0, 0, place // 2, 2 + place % 2] = NAN
        close(student.max_pool2d(x, 2), torch.tensor([[[[-15.0, NAN], [-7.0, -5.0]]]], dtype=F64))
        close(student.max_pool2d(x, 2, stride=2, padding=1), F.max_pool2d(x, 2, 2, 1), what="the result with padding")


@check(
    "pooling",
    points=1,
    hint="2 · padding > k in one direction is enough for ValueError, and so is a window that does not fit.",
)
def test_pool_errors(student):
    """Both poolings raise ValueError for a frame wider than half a window, and if no window fits; not for what just fits."""
    x = torch.ones(1, 1, 5, 6)
    wrong = [((x, 3), {"padding": 2}), ((x, (2, 4)), {"padding": (2, 1)}), ((x, (4, 3)), {"padding": (1, 2)})]
    wrong += [((x, 1), {"padding": 1}), ((x, (6, 2)), {}), ((x, (2, 7)), {})]
    wrong += [((x[:, :, :1], (4, 2)), {"padding": (1, 0)})]
    fits = [((x, 2), {"padding": 1}), ((x, (5, 6)), {}), ((x, (3, 2)), {"padding": (0, 1)})]
    fits += [((x[:, :, :2], (4, 2)), {"padding": (1, 0)}), ((x, (4, 5)), {"padding": 2})]
    for name in ("max_pool2d", "avg_pool2d"):
        found = refused(student, name, wrong + fits)
        close(found, [True] * len(wrong) + [False] * len(fits), what=f"the list of errors of {name}")


@check("pooling", points=1, hint="amax, max, mean and sum over the windows' dimensions know their gradients.")
def test_pool_gradients(student, rng):
    """Both poolings have the right gradients for overlapping windows and paddings."""
    x = leaf(rng, 2, 2, 5, 6)
    differentiable(lambda x: student.max_pool2d(x, (3, 2), stride=(1, 2), padding=1), x)
    differentiable(lambda x: student.avg_pool2d(x, (3, 2), stride=(2, 1), padding=1), x)
    differentiable(lambda x: student.avg_pool2d(x, 3, stride=1, padding=(0, 1), count_include_pad=False), x)


@check("pooling", points=2, hint="No Python loop over pixels, channels or samples: all windows at once.")
def test_pool_operations(student, reference, rng):
    """Both poolings take few operations, however large the pictures are, and at most 6 times as long as our solution."""
    for function in (student.max_pool2d, student.avg_pool2d):
        small, large = (
            watch(function, randn(rng, *shape, dtype=F32), 3, stride=2, padding=1).op_count
            for shape in ((1, 2, 8, 8), (8, 6, 32, 24))
        )
        if large > 1.2 * small + 4:
            fail("The number of operations grows with the picture, the channels or the batch.", kind="cost")
    for function, ours in ((student.max_pool2d, reference.max_pool2d), (student.avg_pool2d, reference.avg_pool2d)):
        race(function, ours, lambda: (pictures(rng, 4, 32)()[0], 3, 2, 1), at_most=6)


# -------------------------------------------------------------------------------------------------- 5. module


@probe
def layer_outputs(student, x, args, options, state):
    """Make a layer, load a state, and compute; return the output and the state that the layer then has."""
    layer = student.Conv2d(*args, **options).to(x.dtype)
    layer.load_state_dict(state)
    with torch.no_grad():
        return layer(x), dict(layer.state_dict())


@check("module", points=2, hint="The names are weight and bias, with the shapes of nn.Conv2d; nothing else is saved.")
def test_module_state_dict(student, rng):
    """A Conv2d layer takes over the state_dict of an nn.Conv2d, gives it back, and then computes the same."""
    if "torch.nn.modules.module.Module" not in type_names(student.Conv2d(1, 1, 1)):
        fail("Conv2d must be an nn.Module.", kind="type")
    for args in ((3, 4, 3), (4, 6, (2, 3), 1, 0, 1, 2)):
        theirs = torch.nn.Conv2d(*args).double().requires_grad_(False)
        x = randn(rng, 2, args[0], 6, 5)
        state = {name: value.clone() for name, value in theirs.state_dict().items()}
        result, back = layer_outputs(student, x, args, {}, state)
        close(result, theirs(x))
        close(back, state, what="the state_dict")


@check("module", points=3, hint="Hand stride, padding, dilation and groups on to conv2d, each to its own place.")
def test_module_options(student, rng):
    """A Conv2d layer uses its kernel size, stride, padding, dilation and groups, pairs included."""
    x = randn(rng, 2, 4, 9, 8)
    for args, options in (
        ((4, 6, (3, 2)), {}),
        ((4, 6, 3), {"stride": (2, 1)}),
        ((4, 6, 3), {"padding": (1, 2)}),
        ((4, 6, (2, 3)), {"dilation": (3, 2)}),
        ((4, 6, 3), {"groups": 2}),
        ((4, 8, (3, 2), 2, (1, 0), (1, 2), 4), {}),
        ((4, 2, 3, 3, 2, 2, 2), {}),
    ):
        theirs = torch.nn.Conv2d(*args, **options).double().requires_grad_(False)
        result, _ = layer_outputs(student, x, args, options, dict(theirs.state_dict()))
        close(result, theirs(x))


@probe
def first_weights(student, seeds, args):
    """Weight and bias of new layers, each made after its seed."""
    found = []
    for seed in seeds:
        torch.manual_seed(seed)
        layer = student.Conv2d(*args)
        found.append((layer.weight.detach().clone(), layer.bias.detach().clone()))
    return found


@check(
    "module",
    points=2,
    hint="fan-in: (in_channels / groups) · kh · kw, the terms of one sum; the deviation goes with 1/√fan-in.",
)
def test_module_init(student):
    """The first weights are random with mean 0 and a standard deviation of 0.5 to 1.5 over the root of the fan-in."""
    for args in ((2, 128, 3), (128, 4, 3), (64, 256, 3, 1, 0, 1, 32), (16, 48, (1, 5)), (200, 10, 1)):
        (weight, bias), (again, _), (other, _) = first_weights(student, (1, 1, 2), args)
        if not torch.equal(weight, again) or torch.equal(weight, other):
            fail("The weights must come from PyTorch's global generator.", kind="randomness")
        fan_in, count = weight[0].numel(), weight.numel()
        scale = weight.double().std().item() * fan_in**0.5
        # The deviation of a sample's deviation is at most 1/√(2·count) of it; 6σ are added on both sides.
        slack = 1 + 6 / (2 * count) ** 0.5
        if not 0.5 / slack <= scale <= 1.5 * slack:
            fail("The standard deviation of the first weights does not fit the fan-in.")
        if weight.double().mean().abs().item() > 6 * 1.5 / (fan_in * count) ** 0.5:
            fail("The mean of the first weights is not 0.")
        if (weight.flatten()[1:] == weight.flatten()[:-1]).double().mean() > 0.01:
            fail("The first weights are not independent: many are equal.")
        if bias.double().mean().abs().item() > 6 * 1.5 / (fan_in * len(bias)) ** 0.5:
            fail("The first biases are neither zero nor random with mean 0.")
        # The largest of a few hundred draws: 6 deviations.
        if bias.double().abs().max().item() > 6 * 1.5 / fan_in**0.5:
            fail("The first biases are too large.")


@check("module", points=1, hint="self.bias = None (or register_parameter('bias', None)) if bias is False.")
def test_module_without_bias(student, rng):
    """A Conv2d layer with bias=False has no bias: the attribute is None, and the state_dict holds the weight only."""
    state, trainable, is_none = made(student, 2, 3, 3, bias=False)
    close({name: tuple(value.shape) for name, value in state.items()}, {"weight": (3, 2, 3, 3)}, what="the state_dict")
    close(trainable, {"weight": True}, what="requires_grad")
    if not is_none:
        fail("With bias=False, the attribute bias is None.")
    x, weight = randn(rng, 2, 2, 5, 4), randn(rng, 3, 2, 3, 3)
    result, _ = layer_outputs(student, x, (2, 3, 3), {"bias": False, "padding": 1}, {"weight": weight})
    close(result, F.conv2d(x, weight, padding=1))


@probe
def made(student, *args, **options):
    """Make a layer; return its state_dict, whether its parameters are trainable, and whether its bias is None."""
    layer = student.Conv2d(*args, **options)
    trainable = {name: parameter.requires_grad for name, parameter in layer.named_parameters()}
    state = {name: value.detach().clone() for name, value in layer.state_dict().items()}
    return state, trainable, layer.bias is None


@check(
    "module",
    points=1,
    hint="Parameters are read in forward, not copied in __init__: whoever moves or changes them must be heard.",
)
def test_module_lives(student, rng):
    """A Conv2d layer uses its parameters as they are at each call, whoever has changed or converted them."""
    x = randn(rng, 2, 2, 5, 5)
    for got, weight, bias, dtype in changed_outputs(student, x):
        close(got, F.conv2d(x.to(dtype), weight, bias, padding=1), rtol=1e-4, atol=1e-4)


@probe
def changed_outputs(student, x):
    """The output after each of several changes, with the parameters that the layer then has."""
    found = []
    layer = student.Conv2d(2, 3, 3, padding=1)

    def note(dtype):
        with torch.no_grad():
            found.append((layer(x.to(dtype)), layer.weight.detach().clone(), layer.bias.detach().clone(), dtype))

    note(torch.float32)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(x.float()).square().sum().backward()
    optimizer.step()
    note(torch.float32)
    layer.double()
    note(torch.float64)
    layer.weight = torch.nn.Parameter(torch.ones_like(layer.weight))
    with torch.no_grad():
        layer.bias.fill_(3)
    note(torch.float64)
    return found


@check("module", points=1, hint="in_channels % groups and out_channels % groups: both must be 0.")
def test_module_errors(student):
    """A Conv2d layer raises ValueError when it is made with groups that do not divide its channels."""
    wrong = [
        ((4, 6, 3), {"groups": 4}),
        ((6, 4, 3), {"groups": 4}),
        ((3, 4, 3), {"groups": 2}),
        ((4, 3, 1), {"groups": 2}),
    ]
    fits = [((4, 6, 3), {"groups": 2}), ((3, 6, 3), {"groups": 3})]
    found = refused(student, "Conv2d", wrong + fits)
    close(found, [True] * len(wrong) + [False] * len(fits), what="the list of errors")


# --------------------------------------------------------------------------------------------------- 6. lenet


@probe
def lenet_outputs(student, x, args, options):
    """The logits of a new LeNet, and how many elements each of its parameters has."""
    model = student.LeNet(*args, **options)
    with torch.no_grad():
        return model(x), [parameter.numel() for parameter in model.parameters()]


@check("lenet", points=1, hint="in_channels goes into the first convolution, num_classes into the last linear layer.")
def test_lenet_channels(student, rng):
    """LeNet takes another number of classes and of input channels."""
    for args, options, channels, classes in (((7, 3), {}, 3, 7), ((), {"in_channels": 2}, 2, 10), ((3,), {}, 1, 3)):
        logits, sizes = lenet_outputs(student, randn(rng, 2, channels, 28, 28, dtype=F32), args, options)
        close(tuple(logits.shape), (2, classes), what="the shape of the logits")
        close(sum(sizes), 61706 + 150 * (channels - 1) + 85 * (classes - 10), what="the number of parameters")


@probe
def silenced(student, x):
    """The logits, and the logits when the units of one hidden layer are driven far below zero, for each layer."""
    torch.manual_seed(3)
    model = student.LeNet().double()
    found = []
    with torch.no_grad():
        found.append(model(x))
        for elements in (6, 16, 120, 84):
            for parameter in model.parameters():
                if parameter.numel() == elements:
                    kept = parameter.clone()
                    parameter.fill_(-30.0)
                    found.append(model(x))
                    parameter.copy_(kept)
    return found


@check(
    "lenet", points=2, hint="ReLU or tanh after both convolutions and after the first two linear layers: four in all."
)
def test_lenet_activations(student, rng):
    """An activation follows each hidden layer: units that are driven far below zero say nothing about the picture."""
    x = randn(rng, 4, 1, 28, 28)
    logits, *silent = silenced(student, x)
    if len(silent) != 4:
        fail("The layers of the table were not found, each with a bias.")
    if (logits - logits[:1]).abs().max() < 1e-6:
        fail("Different pictures give the same logits.")
    names = ("first convolution", "second convolution", "first linear layer", "second linear layer")
    for name, result in zip(names, silent, strict=True):
        if not (result - result[:1]).abs().max() < 1e-8:
            fail(f"No activation follows the {name}, or one that lets negative numbers through.")


@check("lenet", points=1, hint="flatten(1), or view(len(x), -1): the first dimension stays. No batch norm, no dropout.")
def test_lenet_samples(student, rng):
    """LeNet treats every sample on its own: a batch gives what its pictures give one by one, in any order."""
    x = randn(rng, 5, 1, 28, 28)
    whole, single, turned = batches(student, x)
    close(single, whole.detach(), what="the result of pictures one by one")
    close(turned.flip(0), whole.detach(), what="the result of the batch in reverse")


@probe
def batches(student, x):
    """The logits of a batch, of its pictures one by one, and of the batch in reverse."""
    model = student.LeNet().double()
    with torch.no_grad():
        return model(x), torch.cat([model(picture[None]) for picture in x]), model(x.flip(0))


@probe
def lenet_gradients(student, x, y):
    """The largest gradient of each parameter, or None, after one backward pass."""
    torch.manual_seed(4)
    model = student.LeNet().double()
    torch.nn.functional.cross_entropy(model(x), y).backward()
    return [None if each.grad is None else each.grad.abs().max().item() for each in model.parameters()]


@check(
    "lenet",
    points=1,
    hint="Every layer made in __init__ must be used in forward, and no .detach() or no_grad on the way.",
)
def test_lenet_gradients(student, rng):
    """Every parameter of LeNet gets a gradient."""
    found = lenet_gradients(student, randn(rng, 8, 1, 28, 28), torch.arange(8))
    if any(value is None or not value > 0 for value in found):
        fail("A parameter gets no gradient.", kind="gradient")


@probe
def evened(student, x):
    """The logits of pictures, and of the same ones mirrored, of a LeNet in which all kernels are flat."""
    model = student.LeNet().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.01)
        return model(x), model(x.flip(2)), model(x.flip(3))


@check(
    "lenet", points=1, hint="Padding 2 on all four sides of the picture in the first convolution, none in the second."
)
def test_lenet_padding(student, rng):
    """The layers of LeNet look at the picture evenly: with flat kernels, a mirrored picture gives the same logits."""
    logits, *mirrored = evened(student, torch.rand(3, 1, 28, 28, generator=rng, dtype=F64))
    if not (logits - logits[:1]).abs().max() > 1e-9:
        fail("Different pictures give the same logits.")
    for result in mirrored:
        close(result, logits.detach(), what="the result of a mirrored picture", rtol=1e-12, atol=1e-12)


def digits():
    """The digits as given.digits() makes them: 960 for training, 397 for the test."""
    package = Path(importlib.util.find_spec("sklearn").origin).parent
    table = torch.from_numpy(np.loadtxt(package / "datasets" / "data" / "digits.csv.gz", delimiter=","))
    table = table[torch.randperm(len(table), generator=torch.Generator().manual_seed(0))]
    small = (table[:, :-1].float().view(-1, 1, 8, 8) / 16 - 0.3) / 0.38
    images = F.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False)
    labels = table[:, -1].long()
    return images[:960], labels[:960], images[1400:], labels[1400:]


TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = digits()


@probe
def trained(student, given, x, y, test_x):
    """Train a LeNet for three epochs and read the test digits."""
    torch.manual_seed(5)
    model = student.LeNet()
    given.fit(model, x, y, epochs=3, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        return model(test_x).argmax(1)


@check(
    "lenet", points=3, hint="Plot the loss of each step: it starts near 2.3 and falls below 1 within the first epoch."
)
def test_lenet_digits(student, given):
    """LeNet reads at least 88 % of handwritten digits that it has never seen, after three epochs on 960 others."""
    right = (trained(student, given, TRAIN_X, TRAIN_Y, TEST_X) == TEST_Y).double().mean().item()
    if not right >= 0.88:
        fail("Too many test digits are read wrongly.")


# ------------------------------------------------------------------------------------------------- 7. filters


@check(
    "filters", points=1, hint="−1, 0, 1 from left to right, in three rows, divided so that a ramp of slope 1 gives 1."
)
def test_edge(student):
    """edge gives the slope of a ramp from left to right, ignores one from top to bottom, and is odd and symmetric."""
    k = contract(student.edge)
    close(k, torch.zeros(3, 3), rtol=0, atol=10, what="the kernel edge")
    ramp = torch.arange(6.0).expand(5, 6)
    for picture, slope, downwards in (
        (ramp.T, 0.0, 1.0),
        (ramp, 1.0, 1.0),
        (ramp.flip(1), -1.0, -1.0),
        (1 + 0 * ramp, 0.0, 0.0),
    ):
        result = F.conv2d(picture[None, None], k[None, None])
        close(
            result,
            torch.full_like(result, slope),
            what="the kernel's answer to a ramp",
            misconceptions={
                "the change from top to bottom was taken": torch.full_like(result, downwards),
                "the change from right to left was taken": torch.full_like(result, -slope),
            },
        )
    close(k.flip(1), -k, what="the kernel edge, mirrored left–right")
    close(k.flip(0), k, what="the kernel edge, mirrored top–bottom")


@check(
    "filters",
    points=1,
    hint="Each picture of img[…] on its own; half of kh above and below, half of kw left and right.",
)
def test_filter_shapes(student, rng):
    """apply_filter takes any number of leading dimensions, and odd kernels that are not square."""
    for shape in ((6, 7), (3, 6, 7), (2, 3, 5, 4), (2, 1, 2, 3, 3)):
        img = randn(rng, *shape)
        for size in ((3, 1), (5, 3), (1, 1)):
            k = randn(rng, *size)
            flat = F.conv2d(img.reshape(-1, 1, *shape[-2:]), k[None, None], padding=(size[0] // 2, size[1] // 2))
            close(contract(student.apply_filter, img, k), flat.view(shape))


@check("filters", points=1, hint="kh % 2 == 0 or kw % 2 == 0: ValueError. k.to(img.dtype) before anything else.")
def test_filter_errors(student, rng):
    """apply_filter raises ValueError for kernels without a middle, and uses the kernel in the dtype of the picture."""
    img, sizes = torch.ones(6, 6), ((2, 3), (3, 2), (4, 4), (1, 2), (3, 3), (1, 5))
    found = refused(student, "apply_filter", [((img, torch.ones(size)), {}) for size in sizes])
    close(found, [True] * 4 + [False] * 2, what="the list of errors")
    for dtype, other in ((F64, F32), (F32, F64)):
        img, k = randn(rng, 5, 5, dtype=dtype), randn(rng, 3, 3, dtype=other)
        expected = F.conv2d(img[None, None], k.to(dtype)[None, None], padding=1)[0, 0]
        close(student.apply_filter(img, k), expected, rtol=1e-4, atol=1e-4)


@check("filters", points=1, hint="The same kernel everywhere, and nothing that depends on the whole picture.")
def test_filter_equivariance(student, rng):
    """apply_filter is linear and equivariant: a shifted picture gives the shifted result, a brighter one a brighter one."""
    img = torch.zeros(2, 12, 12, dtype=F64)
    img[:, 3:7, 2:6] = randn(rng, 2, 4, 4)
    k = randn(rng, 3, 3)
    result = student.apply_filter(img, k)
    for shift in ((1, 0), (0, 3), (4, 2)):
        moved = student.apply_filter(img.roll(shift, (1, 2)), k)
        close(moved, result.roll(shift, (1, 2)), what="the result of a shifted picture")
    close(student.apply_filter(100 * img, k), 100 * result, what="the result of a brighter picture")
    close(student.apply_filter(img, k - 7), result + student.apply_filter(img, torch.full_like(k, -7)))


# ----------------------------------------------------------------------------------------------------- 8. bug


def right(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """PyTorch's own."""
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups)


def right_by_unfold(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """im2col, and a matrix product for each group; the result is not contiguous."""
    sizes = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], weight.shape[2:], *map(pair, (stride, padding, dilation)), strict=True)
    ]
    columns = F.unfold(x, weight.shape[2:], dilation, padding, stride).unflatten(1, (groups, -1))
    result = torch.einsum("ngkl,gok->lngo", columns, weight.flatten(1).unflatten(0, (groups, -1)))
    result = result.flatten(2).permute(1, 2, 0).unflatten(2, sizes)
    return result if bias is None else result + bias.view(-1, 1, 1)


def right_by_fourier(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """A product in the Fourier domain, with rounding of its own."""
    (sh, sw), (ph, pw), (dh, dw) = map(pair, (stride, padding, dilation))
    x = F.pad(x, (pw, pw, ph, ph))
    spread = x.new_zeros(*weight.shape[:2], dh * (weight.shape[2] - 1) + 1, dw * (weight.shape[3] - 1) + 1)
    spread[:, :, ::dh, ::dw] = weight
    pictures = torch.fft.rfft2(x).unflatten(1, (groups, -1))
    kernels = torch.fft.rfft2(spread, s=x.shape[2:]).conj().unflatten(0, (groups, -1))
    result = torch.fft.irfft2(torch.einsum("ngcij,gocij->ngoij", pictures, kernels).flatten(1, 2), s=x.shape[2:])
    height, width = x.shape[2] - spread.shape[2] + 1, x.shape[3] - spread.shape[3] + 1
    result = result[:, :, :height:sh, :width:sw]
    return result if bias is None else result + bias.view(-1, 1, 1)


def right_by_positions(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """A loop over the positions of the kernel, from the last to the first."""
    (sh, sw), (ph, pw), (dh, dw) = map(pair, (stride, padding, dilation))
    kh, kw = weight.shape[2:]
    x = F.pad(x, (pw, pw, ph, ph))
    height = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1
    width = (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    kernels = weight.unflatten(0, (groups, -1))
    total = 0
    for a, b in reversed([*itertools.product(range(kh), range(kw))]):
        part = x[:, :, a * dh :: sh, b * dw :: sw][:, :, :height, :width].unflatten(1, (groups, -1))
        total = total + torch.einsum("ngcij,goc->ngoij", part, kernels[..., a, b])
    total = total.flatten(1, 2)
    return total if bias is None else bias.view(-1, 1, 1) + total


def buggy(change):
    """A wrong implementation: ``change`` rewrites the arguments of the right one."""

    def wrong(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        arguments = {"x": x, "weight": weight, "bias": bias, "groups": groups}
        arguments |= {"stride": pair(stride), "padding": pair(padding), "dilation": pair(dilation)}
        arguments |= change(**arguments)
        return right(**arguments)

    return wrong


def spoiled(change):
    """A wrong implementation: ``change`` rewrites the right result."""

    def wrong(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        return change(right(x, weight, bias, stride, padding, dilation, groups), x, weight, bias, stride, groups)

    return wrong


def _framed(x, padding, **rest):
    """The frame repeats the border."""
    ph, pw = padding
    return {"x": F.pad(x, (pw, pw, ph, ph), mode="replicate"), "padding": (0, 0)}


def _one_sided(x, padding, **rest):
    """The frame is above and on the left only, twice as wide."""
    ph, pw = padding
    return {"x": F.pad(x, (2 * pw, 0, 2 * ph, 0)), "padding": (0, 0)}


def _transposed(weight, **rest):
    """The kernel transposed, where it can be."""
    return {"weight": weight.mT if weight.shape[2] == weight.shape[3] else weight.flip(2)}


def _shuffled(x, groups, **rest):
    """Groups read every g-th channel."""
    order = torch.arange(x.shape[1]).view(-1, groups).t().flatten()
    return {"x": x[:, order]}


def _dilated_by_stride(stride, dilation, **rest):
    """The dilation is forgotten as soon as there is a stride."""
    return {"dilation": dilation if stride == (1, 1) else (1, 1)}


def _padded_once(padding, dilation, **rest):
    """The padding is forgotten as soon as there is a dilation."""
    return {"padding": padding if dilation == (1, 1) else (0, 0)}


def _bias_on_width(result, x, weight, bias, stride, groups):
    """The bias goes along the width where that happens to fit, and along the channels in reverse elsewhere."""
    if bias is None:
        return result
    order = bias.flip(0).view(-1, 1, 1)
    return result - bias.view(-1, 1, 1) + (bias if result.shape[3] == len(bias) else order)


ORIENTATION = {
    "kernel flipped in one direction": buggy(lambda weight, **rest: {"weight": weight.flip(-1)}),
    "kernel transposed": buggy(_transposed),
    "stride exchanged": buggy(lambda stride, **rest: {"stride": stride[::-1]}),
    "padding exchanged": buggy(lambda padding, **rest: {"padding": padding[::-1]}),
    "dilation exchanged": buggy(lambda dilation, **rest: {"dilation": dilation[::-1]}),
}
OPTIONS = {
    "frame repeats the border": buggy(_framed),
    "frame on two sides": buggy(_one_sided),
    "dilation ignored with a stride": buggy(_dilated_by_stride),
    "padding ignored with a dilation": buggy(_padded_once),
    "horizontal stride ignored": buggy(lambda stride, **rest: {"stride": (stride[0], 1)}),
    "last row missing": spoiled(lambda result, *rest: result[:, :, :-1]),
}
CHANNELS = {
    "groups interleaved": buggy(_shuffled),
    "bias forgotten": buggy(lambda **rest: {"bias": None}),
    "bias elsewhere": spoiled(_bias_on_width),
    "bias forgotten with groups": buggy(lambda bias, groups, **rest: {"bias": bias if groups == 1 else None}),
    "mean over the channels": spoiled(lambda result, x, *rest: result / x.shape[1]),
    "float32 out": spoiled(lambda result, *rest: result.float()),
    "as exact as float32": spoiled(lambda result, *rest: result.float().to(result.dtype) if result.numel() else result),
}


def accepts(student, fn):
    """End the check unless the student's check returns None for ``fn``, after calling it."""
    spied = spy(fn, max_calls=300)
    try:
        result = student.check_conv2d(spied)
    except AssertionError:
        fail("A right implementation was refused: AssertionError was raised for it.")
    if result is not None:
        fail("For a right implementation, check_conv2d returns None.", kind="type")
    if not spied.calls:
        fail("A right implementation was accepted without a single call of it.")


def catches(student, bugs, kind):
    """End the check unless the student's check raises AssertionError for each of the bugs, after calling it."""
    missed = 0
    for fn in bugs.values():
        spied = spy(fn, max_calls=300)
        try:
            student.check_conv2d(spied)
        except AssertionError:
            missed += not spied.calls
        else:
            missed += 1
    if missed:
        fail(f"Of {len(bugs)} wrong implementations ({kind}), {missed} were accepted.")


@check(
    "bug",
    points=1,
    hint="Different numbers for height and width everywhere: in the picture, the kernel, and each option.",
)
def test_bug_orientation(student):
    """check_conv2d finds flipped and transposed kernels and exchanged directions, and accepts im2col."""
    accepts(student, right_by_unfold)
    catches(student, ORIENTATION, "orientation")


@check("bug", points=1, hint="Try the options together, and compare shapes before values. Allow for rounding.")
def test_bug_options(student):
    """check_conv2d finds wrong sizes, frames and options, and accepts a product in the Fourier domain."""
    accepts(student, right_by_fourier)
    catches(student, OPTIONS, "size and options")


@check(
    "bug", points=1, hint="Several channels, groups and a bias, in float64, with a tolerance that float32 cannot reach."
)
def test_bug_channels(student):
    """check_conv2d finds wrong groups, biases and precision, and accepts a loop over the kernel's positions."""
    accepts(student, right_by_positions)
    catches(student, CHANNELS, "channels and precision")
