"""Public checks of convolutional networks: the ones that students run themselves.

They count when a notebook is marked; the gate of each exercise is here. Worth 30 of the 100 points.
"""

import pytest
import torch
import torch.nn.functional as F

from grader.checks import check, close, contract, fail, forbid, probe, spy, watch

# Policy for all exercises, told to students at the top of the notebook. The operators catch every alias on the way.
FORBIDDEN = [
    forbid(
        "*",
        names=(
            "torch.nn.functional.conv*",
            "torch.nn.functional.*pool*",
            "torch.conv*",
            "torch._convolution",
            "torch.*pool*",
            "torch.nn.Conv*",
            "torch.nn.LazyConv*",
            "torch.nn.*Pool*",
        ),
        ops=(
            "aten::convolution",
            "aten::_convolution",
            "aten::convolution_overrideable",
            "aten::convolution_backward",
            "aten::mkldnn_convolution",
            "aten::thnn_conv2d",
            "aten::_slow_conv2d_forward",
            "aten::slow_conv3d_forward",
            "aten::slow_conv_dilated2d",
            "aten::slow_conv_transpose2d",
            "aten::_conv_depthwise2d",
            "aten::max_pool2d_with_indices",
            "aten::max_pool3d_with_indices",
            "aten::mkldnn_max_pool2d",
            "aten::avg_pool2d",
            "aten::avg_pool3d",
            "aten::_adaptive_avg_pool2d",
            "aten::_adaptive_avg_pool3d",
            "aten::adaptive_max_pool2d",
            "aten::adaptive_max_pool3d",
            "aten::fractional_max_pool2d",
        ),
        instead="unfold, einsum, matrix products and slices",
    )
]

F64, F32 = torch.float64, torch.float32
EXACT = {F64: {}, F32: {"rtol": 1e-4, "atol": 1e-4}}
"""Tolerances by dtype. In float32 other ways to the same sum (the Fourier domain) lose a few more digits."""


def randn(rng, *shape, dtype=F64):
    """Standard normal numbers."""
    return torch.randn(*shape, generator=rng, dtype=F64).to(dtype)


def gradients_of(output, *inputs):
    """The gradients of the sum of ``output``; a sentence for the student where autograd cannot give them."""
    if not output.requires_grad:
        fail("The result is cut off from autograd: no gradient flows back to the input.", kind="gradient")
    return torch.autograd.grad(output.sum(), inputs)


def same(output, inputs, expected, upstream, names, **tolerance):
    """Compare the gradients of ``output`` with those of ``expected``, both weighed with ``upstream``."""
    due = torch.autograd.grad((expected * upstream).sum(), inputs)
    for name, got, want in zip(names, gradients_of(output * upstream, *inputs), due, strict=True):
        close(got, want, what=f"the gradient of {name}", **tolerance)


# --------------------------------------------------------------------------------------------------- 1. sizes


def whole(value, expected, what, **ideas):
    """Compare with an int, which must be an int."""
    close(value, expected, what=what, **ideas)
    if type(value) is not int:
        fail(f"{what[:1].upper()}{what[1:]} is a {type(value).__name__}; an int is due.", kind="type")


@check("sizes", points=2, gate=True, hint="Floor of (n + 2p − d(k−1) − 1) / s, and then plus 1: // rounds down.")
def test_output_size_values(student):
    """conv_output_size counts the windows: the floor of (n + 2p − d(k−1) − 1)/s, plus 1."""
    for n, k, s, p, d in ((28, 5, 1, 2, 1), (14, 5, 1, 0, 1), (28, 2, 2, 0, 1), (11, 3, 2, 1, 2), (7, 3, 3, 0, 1)):
        room = n + 2 * p - d * (k - 1) - 1
        whole(
            contract(student.conv_output_size, n, k, stride=s, padding=p, dilation=d),
            room // s + 1,
            "the size",
            misconceptions={
                "the plus 1 stands inside the fraction; it counts the first window": (room + 1) // s,
                "the plus 1 is missing; it counts the first window": room // s,
                "the size was rounded up; a window that does not fit does not count": -(-room // s) + 1,
                "the padding was counted once; it is added at both ends": (room - p) // s + 1,
                "the dilation was ignored": (n + 2 * p - k) // s + 1,
            },
        )


@check("sizes", points=1, hint="r grows by (k − 1) · d · j, and then j by the factor s. Both start at 1.")
def test_receptive_field_values(student):
    """receptive_field of three 3 × 3 layers is 7, and a stride enlarges the fields of the layers after it."""
    whole(contract(student.receptive_field, [(3, 1), (3, 1), (3, 1)]), 7, "the receptive field")
    layers = [(5, 1), (2, 2), (5, 1), (2, 2)]
    whole(
        student.receptive_field(layers),
        16,
        "the receptive field",
        misconceptions={
            "the strides were ignored": 11,
            "a stride was applied to its own layer; it counts for the layers after it": 19,
        },
    )


# ----------------------------------------------------------------------------------------------------- 2. pad


@check(
    "pad", points=2, gate=True, hint="A new tensor full of value, two rows and columns larger for each unit of padding."
)
def test_pad_values(student, rng):
    """pad2d puts a frame of zeros round the last two dimensions, and gradients flow to what is inside."""
    for dtype in (F64, F32):
        for padding in (1, (2, 1), 0):
            ph, pw = padding if isinstance(padding, tuple) else (padding, padding)
            x = randn(rng, 2, 3, 4, 5, dtype=dtype).requires_grad_()
            expected = F.pad(x, (pw, pw, ph, ph))
            result = contract(student.pad2d, x, padding)
            close(
                result,
                expected.detach(),
                misconceptions={
                    "height and width were exchanged; a pair is (vertical, horizontal)": F.pad(x, (ph, ph, pw, pw)),
                    "the frame is on one side only": F.pad(x, (0, pw, 0, ph)),
                },
            )
            same(result, (x,), expected, randn(rng, *expected.shape, dtype=dtype), ("x",))


# -------------------------------------------------------------------------------------------------- 3. conv2d


@check(
    "conv2d",
    points=4,
    gate=True,
    hint="For each output channel the sum of weight · pixel over channels and window, and the bias; no flip.",
)
def test_conv2d_values(student, rng):
    """conv2d gives the sum of kernel times window over all channels, plus the bias, and the right gradients."""
    for dtype in (F64, F32):
        x, weight, bias = (
            randn(rng, *shape, dtype=dtype).requires_grad_() for shape in ((2, 2, 5, 4), (3, 2, 3, 2), (3,))
        )
        expected = F.conv2d(x, weight, bias)
        result = contract(student.conv2d, x, weight, bias)
        flipped = {
            "the kernel was flipped; this course's convolution is cross-correlation": F.conv2d(
                x, weight.flip(-1, -2), bias
            ),
            "the mean was taken over the window where the sum is due": F.conv2d(x, weight / weight[0].numel(), bias),
            "the bias is missing": F.conv2d(x, weight),
            "the bias was subtracted": F.conv2d(x, weight, -bias),
        }
        close(result, expected.detach(), misconceptions=flipped, **EXACT[dtype])
        names = ("x", "weight", "bias")
        upstream = randn(rng, *expected.shape, dtype=dtype)
        same(result, (x, weight, bias), expected, upstream, names, **EXACT[dtype])
        close(student.conv2d(x, weight), F.conv2d(x, weight).detach(), what="the result without bias", **EXACT[dtype])


@check(
    "conv2d", points=3, hint="Pad first; then every stride-th window, in both directions. Exercise 1 tells the shape."
)
def test_conv2d_stride_padding(student, rng):
    """conv2d takes a stride and a padding, one for both directions."""
    x, weight, bias = randn(rng, 2, 3, 8, 8), randn(rng, 4, 3, 3, 3), randn(rng, 4)
    for stride, padding in ((2, 0), (1, 1), (2, 1), (3, 2)):
        close(
            student.conv2d(x, weight, bias, stride=stride, padding=padding),
            F.conv2d(x, weight, bias, stride, padding),
            misconceptions={
                "the stride was ignored": F.conv2d(x, weight, bias, 1, padding),
                "the padding was ignored": F.conv2d(x, weight, bias, stride, 0),
                "stride and padding were exchanged": lambda s=stride, p=padding: F.conv2d(
                    x, weight, bias, max(p, 1), s
                ),
                "the frame was not made of zeros": F.conv2d(
                    F.pad(x, (padding,) * 4, mode="replicate"), weight, bias, stride
                ),
            },
        )


@check("conv2d", points=2, hint="Compare x.shape[1] with groups · weight.shape[1] before you compute anything.")
def test_conv2d_mismatch(student):
    """conv2d raises ValueError for a weight that was made for another number of channels."""
    for channels, groups in ((4, 1), (2, 1), (1, 1), (3, 3)):
        with pytest.raises(ValueError):
            student.conv2d(torch.zeros(1, channels, 5, 5), torch.zeros(6, 3, 3, 3), groups=groups)


# ------------------------------------------------------------------------------------------------- 4. pooling


@check(
    "pooling", points=3, gate=True, hint="Windows of size k, k apart; the maximum over the two dimensions of a window."
)
def test_max_pool_values(student, rng):
    """max_pool2d takes the maximum of each window, windows side by side, and passes gradients to the maxima."""
    for dtype in (F64, F32):
        x = randn(rng, 2, 3, 6, 4, dtype=dtype).requires_grad_()
        expected = F.max_pool2d(x, 2)
        result = contract(student.max_pool2d, x, 2)
        close(
            result,
            expected.detach(),
            misconceptions={
                "windows overlap; the stride is the window's size unless it is given": F.max_pool2d(x, 2, 1),
                "the mean was taken, not the maximum": F.avg_pool2d(x, 2),
                "the minimum was taken, not the maximum": -F.max_pool2d(-x, 2),
                "one pixel of each window was taken, not the maximum": x[:, :, ::2, ::2],
            },
        )
        same(result, (x,), expected, randn(rng, *expected.shape, dtype=dtype), ("x",))


@check("pooling", points=2, hint="As max_pool2d, with the mean: the sum of a window divided by kh · kw.")
def test_avg_pool_values(student, rng):
    """avg_pool2d takes the mean of each window, windows side by side."""
    for dtype in (F64, F32):
        x = randn(rng, 2, 3, 4, 6, dtype=dtype).requires_grad_()
        expected = F.avg_pool2d(x, 2)
        result = contract(student.avg_pool2d, x, 2)
        close(
            result,
            expected.detach(),
            misconceptions={
                "the sum was taken, not the mean": 4 * expected,
                "the maximum was taken, not the mean": F.max_pool2d(x, 2),
                "windows overlap; the stride is the window's size unless it is given": F.avg_pool2d(x, 2, 1),
            },
            **EXACT[dtype],
        )
        same(result, (x,), expected, randn(rng, *expected.shape, dtype=dtype), ("x",), **EXACT[dtype])


# -------------------------------------------------------------------------------------------------- 5. module


@check("module", points=3, gate=True, hint="forward: conv2d(x, self.weight, self.bias, …); both are nn.Parameter.")
def test_module_forward(student, rng):
    """A Conv2d layer computes conv2d with its own weight and bias, and trains both."""
    for dtype in (F32, F64):
        layer = student.Conv2d(2, 3, 3)
        if dtype == F64:
            layer.double()
        weight, bias = (value.detach().clone().requires_grad_() for value in (layer.weight, layer.bias))
        close(weight.detach(), torch.zeros(3, 2, 3, 3, dtype=dtype), what="the first weight", rtol=0, atol=10)
        close(bias.detach(), torch.zeros(3, dtype=dtype), what="the first bias", rtol=0, atol=10)
        x = randn(rng, 2, 2, 6, 5, dtype=dtype).requires_grad_()
        result = contract(layer, x)
        expected = F.conv2d(x, weight, bias)
        close(
            result,
            expected.detach(),
            misconceptions={"the bias was not used": F.conv2d(x, weight)},
            **EXACT[dtype],
        )
        upstream = randn(rng, *expected.shape, dtype=dtype)
        same(result, (x,), expected, upstream, ("x",), **EXACT[dtype])
        (layer(x) * upstream).sum().backward()
        (F.conv2d(x, weight, bias) * upstream).sum().backward()
        for name, own, due in (("weight", layer.weight.grad, weight.grad), ("bias", layer.bias.grad, bias.grad)):
            if own is None:
                fail(f"The parameter {name} gets no gradient: is it really used, as it is?", kind="gradient")
            close(own, due, what=f"the gradient of {name}", **EXACT[dtype])


@probe
def made(student, *args, **options):
    """Make a layer; return its state_dict, whether its parameters are trainable, and what its bias is."""
    layer = student.Conv2d(*args, **options)
    trainable = {name: parameter.requires_grad for name, parameter in layer.named_parameters()}
    state = {name: value.detach().clone() for name, value in layer.state_dict().items()}
    return state, trainable, layer.bias is None


@check("module", points=1, hint="self.weight and self.bias are nn.Parameter; options are no buffers.")
def test_module_parameters(student):
    """A Conv2d layer has the parameters weight (O, C/groups, kh, kw) and bias (O), both trainable."""
    for args, shape in (((3, 8, 5), (8, 3, 5, 5)), ((4, 6, (3, 2), 1, 0, 1, 2), (6, 2, 3, 2))):
        state, trainable, _ = made(student, *args)
        close({name: tuple(value.shape) for name, value in state.items()}, {"weight": shape, "bias": shape[:1]})
        close(trainable, {"weight": True, "bias": True}, what="requires_grad")


# --------------------------------------------------------------------------------------------------- 6. lenet


@probe
def set_parameters(student, model, values):
    """Fill the parameters with so many elements with values; return how many there are of each."""
    counts = [0] * len(values)
    with torch.no_grad():
        for parameter in model.parameters():
            for number, (elements, value) in enumerate(values):
                if parameter.numel() == elements:
                    parameter.copy_(torch.as_tensor(value, dtype=parameter.dtype).expand_as(parameter))
                    counts[number] += 1
    return counts


@check(
    "lenet",
    points=3,
    gate=True,
    hint="The last layer is linear, 84 to num_classes, with a bias, and nothing follows it.",
)
def test_lenet_logits(student, rng):
    """LeNet maps (N, 1, 28, 28) to logits (N, 10), straight from the last linear layer."""
    for dtype in (F32, F64):
        model = student.LeNet()
        if dtype == F64:
            model.double()
        x = randn(rng, 3, 1, 28, 28, dtype=dtype)
        logits = contract(model, x)
        close(logits, torch.zeros(3, 10, dtype=dtype), rtol=0, atol=1e6)
        if torch.equal(logits[0], logits[1]):
            fail("Two different pictures give the very same logits.")
        if not logits.requires_grad:
            fail("The logits are cut off from autograd: the model cannot learn.", kind="gradient")
        bias = torch.arange(-4, 6, dtype=dtype)
        if set_parameters(student, model, [(840, 0.0), (10, bias)]) != [1, 1]:
            fail("The last linear layer of the table was not found: a weight with 840 elements and a bias with 10.")
        close(
            model(x).detach(),
            bias.expand(3, 10),
            what="the result when the last layer has weight 0",
            misconceptions={
                "a softmax follows the last layer; cross-entropy takes logits": bias.softmax(0).expand(3, 10),
                "a log-softmax follows the last layer; cross-entropy takes logits": bias.log_softmax(0).expand(3, 10),
                "an activation follows the last layer; logits may be negative": bias.relu().expand(3, 10),
                "a sigmoid follows the last layer; cross-entropy takes logits": bias.sigmoid().expand(3, 10),
            },
        )


@probe
def parameter_sizes(student, *args, **options):
    """Elements of each trainable parameter of a new LeNet."""
    return [parameter.numel() for parameter in student.LeNet(*args, **options).parameters() if parameter.requires_grad]


@check(
    "lenet", points=1, hint="Add them up layer by layer as in the table: each has a bias, and the kernels are 5 × 5."
)
def test_lenet_parameters(student):
    """LeNet has 61 706 trainable parameters, in the layers of the table."""
    sizes = parameter_sizes(student)
    close(sum(sizes), 61706, what="the number of parameters")
    close(sorted(sizes), [6, 10, 16, 84, 120, 150, 840, 2400, 10080, 48000], what="the list of the layers' sizes")


# ------------------------------------------------------------------------------------------------- 7. filters


@check(
    "filters",
    points=1,
    gate=True,
    hint="conv2d with a padding of half the kernel, on pictures reshaped to (…, 1, H, W).",
)
def test_filter_values(student, rng):
    """apply_filter correlates a picture with a kernel and keeps its size, and gradients flow to both."""
    for dtype in (F64, F32):
        img = randn(rng, 7, 6, dtype=dtype).requires_grad_()
        k = randn(rng, 3, 3, dtype=dtype).requires_grad_()
        expected = F.conv2d(img[None, None], k[None, None], padding=1)[0, 0]
        result = contract(student.apply_filter, img, k)
        close(
            result,
            expected.detach(),
            misconceptions={
                "the kernel was flipped; this course's convolution is cross-correlation": F.conv2d(
                    img[None, None], k.flip(0, 1)[None, None], padding=1
                )[0, 0],
                "the border was cut off; the result has the size of the picture": F.conv2d(
                    img[None, None], k[None, None]
                )[0, 0],
            },
            **EXACT[dtype],
        )
        upstream = randn(rng, *expected.shape, dtype=dtype)
        same(result, (img, k), expected, upstream, ("img", "k"), **EXACT[dtype])


@check("filters", points=1, hint="blur: positive weights that sum to 1. sharpen: 2 in the middle, less your blur.")
def test_blur_and_sharpen(student):
    """blur is a positive, symmetric kernel with sum 1, and sharpen is twice the identity less blur."""
    blur = contract(student.blur)
    close(blur, torch.full((3, 3), 1 / 9), rtol=0, atol=8 / 9, what="the kernel blur")
    if not (blur > 0).all():
        fail("All nine weights of blur must be positive.")
    close(blur.sum().item(), 1.0, what="the sum of blur", atol=1e-6, rtol=0)
    if not (blur <= blur[1, 1] + 1e-6).all():
        fail("No weight of blur may be larger than the one in the middle.")
    for mirrored in (blur.flip(0), blur.flip(1), blur.T):
        close(blur, mirrored, what="the kernel blur, mirrored")
    identity = torch.zeros(3, 3)
    identity[1, 1] = 1
    close(
        contract(student.sharpen),
        2 * identity - blur,
        what="the kernel sharpen",
        misconceptions={
            "what blurring takes away was returned; the picture itself is still to be added": identity - blur,
            "the blurred picture was added; it is subtracted": 2 * identity + blur,
        },
    )


# ----------------------------------------------------------------------------------------------------- 8. bug


def right(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """PyTorch's own."""
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups)


def flipped(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """The wrong one that the notebook shows."""
    return F.conv2d(x, weight.flip(-1, -2), bias, stride, padding, dilation, groups)


def accepts(student, fn):
    """End the check unless the student's check returns None for ``fn``, after calling it."""
    spied = spy(fn, max_calls=300)
    try:
        seen = watch(student.check_conv2d, spied, meter=False)
    except AssertionError:
        fail("A right implementation was refused: AssertionError was raised for it.")
    if seen.value is not None:
        fail("For a right implementation, check_conv2d returns None.", kind="type")
    if seen.flags_changed:
        fail(f"check_conv2d leaves a global setting changed: {seen.flags_changed[0]}.", kind="side-effect")
    if not spied.calls:
        fail("A right implementation was accepted without a single call of it.")


def catches(student, fn):
    """End the check unless the student's check raises AssertionError for ``fn``, after calling it."""
    spied = spy(fn, max_calls=300)
    try:
        student.check_conv2d(spied)
    except AssertionError:
        if not spied.calls:
            fail("A wrong implementation was refused without a single call of it.")
    else:
        fail("A wrong implementation was accepted: no AssertionError was raised for it.")


@check("bug", points=1, gate=True, hint="Compare fn with what is right, on random numbers, and assert that they agree.")
def test_bug_shown(student):
    """check_conv2d accepts a right implementation and refuses the flipped one of the notebook."""
    accepts(student, right)
    catches(student, flipped)
