"""Frames: what is sent comes back, and no bytes whatever do more than raise WireError."""

import contextlib
import json
import math
import socket
import struct
import threading
from collections import Counter, OrderedDict, defaultdict

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from safetensors.torch import save

from grader.guest import wire
from grader.guest.wire import Channel, Closed, Decoder, Encoder, TimedOut, Unsendable, WireError

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def no_object(_):
    raise Unsendable("no objects here")


def there_and_back(value):
    encoder = Encoder(no_object, lambda _tensor, _what: None)
    what = json.loads(json.dumps(encoder.encode(value)))
    return Decoder(encoder.blob(), no_object, lambda tensor, _what: tensor).decode(what)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=50)
    | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4)
    | st.lists(inner, max_size=4).map(tuple)
    | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from([*"tludcbseyvzGomknxg", "st", "sh"])
        | st.text(max_size=3),
        inner,
        max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip


@QUICK
@given(plain)
def test_plain_values_come_back(value):
    """Numbers, texts, bytes and their nestings arrive as what they were."""
    assert there_and_back(value) == value


@pytest.mark.parametrize("dtype", sorted(wire.DTYPES))
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4), (2, 3, 4)])
def test_tensors_come_back(dtype, shape):
    """Every dtype and rank arrives with its values."""
    tensor = torch.randint(0, 2, shape).to(wire.DTYPES[dtype])
    back = there_and_back(tensor)
    assert back.dtype == tensor.dtype
    assert back.shape == tensor.shape
    assert torch.equal(back, tensor)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).view(2, 3).t(),
        torch.arange(12.0).view(3, 4)[:, ::2],
        torch.arange(3.0).expand(4, 3),
        torch.arange(24.0).view(2, 3, 4).permute(2, 0, 1),
        torch.arange(10.0)[3:7],
        torch.tensor([1 + 2j, 3 - 1j]).conj(),
    ],
)
def test_strides_come_back(tensor):
    """A tensor that is not contiguous arrives with its strides, so that a student's code meets it as it is."""
    back = there_and_back(tensor)
    assert torch.equal(back, tensor)
    assert back.stride() == tensor.stride()


@pytest.mark.parametrize("tensor", [torch.randn(400, 400)[:, 0], torch.randn(400, 400)[::100, ::100]])
def test_a_column_of_a_large_matrix_comes_back(tensor):
    """A few elements that lie far apart arrive as what they are; only their strides do not, which would cost memory."""
    back = there_and_back(tensor)
    assert torch.equal(back, tensor)
    assert back.is_contiguous()


def test_more_elements_than_a_frame_may_hold_are_not_sent():
    """An expanded tensor whose elements would fill the receiver's memory is refused, whatever it takes here."""
    with pytest.raises(Unsendable, match="more elements"):
        there_and_back(torch.zeros(1).expand(1 << 40))


def test_one_tensor_sent_twice_is_one_tensor():
    """The same tensor in two places is the same tensor there."""
    tensor = torch.ones(2)
    one, other = there_and_back([tensor, tensor])
    assert one is other


def test_special_values_come_back():
    """NaN, infinities, numpy arrays and scalars, sizes, dtypes, devices, slices and generators arrive."""
    assert math.isnan(there_and_back(float("nan")))
    assert there_and_back(-math.inf) == -math.inf
    assert np.array_equal(there_and_back(np.eye(2)), np.eye(2))
    assert there_and_back(np.float32(2.5)) == np.float32(2.5)
    assert there_and_back(torch.Size([1, 2])) == torch.Size([1, 2])
    assert there_and_back(torch.bfloat16) is torch.bfloat16
    assert there_and_back(torch.device("cpu")) == torch.device("cpu")
    assert there_and_back((slice(1, None, 2), ...)) == (slice(1, None, 2), ...)
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(there_and_back(generator).get_state(), generator.get_state())


@pytest.mark.parametrize(
    "mapping", [OrderedDict(b=1, a=torch.ones(2)), defaultdict(list, b=1, a=torch.ones(2)), Counter(b=2, a=1)]
)
def test_the_other_mappings_arrive_as_dicts(mapping):
    """A ``state_dict()`` or a ``Counter`` is data as much as a dict is, in its order."""
    back = there_and_back(mapping)
    assert type(back) is dict
    assert list(back) == ["b", "a"]
    assert [torch.as_tensor(value).tolist() for value in back.values()] == [
        torch.as_tensor(value).tolist() for value in mapping.values()
    ]


def test_a_tensor_subclass_arrives_as_a_plain_tensor():
    """Whatever a subclass overrides, bytes are all that crosses."""

    class Always(torch.Tensor):
        def __eq__(self, other):
            return True

        __hash__ = torch.Tensor.__hash__

    back = there_and_back(torch.zeros(2).as_subclass(Always))
    assert type(back) is torch.Tensor


@pytest.mark.parametrize(
    "value",
    [object(), lambda: 0, {1, 2}, torch.zeros(2).to_sparse(), np.array(["a"]), np.array([object()]), 1 << 10_000],
)
def test_what_has_no_plain_form_is_not_sent(value):
    """Objects, functions, sets, object arrays and endless integers are refused by the sender."""
    with pytest.raises(Unsendable):
        there_and_back(value)


def test_endless_nesting_is_not_sent():
    """A list that contains itself is refused, not followed for ever."""
    loop = []
    loop.append(loop)
    with pytest.raises(Unsendable):
        there_and_back(loop)


def receive(data: bytes, **kwargs):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=lambda: (theirs.sendall(data), theirs.shutdown(socket.SHUT_WR)))
        sender.start()
        try:
            return Channel(ours, tick=lambda: None, **kwargs).receive()
        finally:
            ours.close()
            sender.join()


@QUICK
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_no_frame(data):
    """Arbitrary bytes end in WireError or Closed."""
    with pytest.raises((WireError, Closed)):
        receive(data)


@QUICK
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_arbitrary_headers_and_blobs_raise_nothing_else(head, blob):
    """A well-formed frame around arbitrary bytes ends in WireError, or in a header that is a JSON object."""
    frame = wire.PREFIX.pack(wire.MAGIC, len(head), len(blob)) + head + blob
    try:
        header, _ = receive(frame)
    except WireError:
        return
    assert isinstance(header, dict)


@QUICK
@given(
    json_values, st.binary(max_size=100) | st.just(save({"0": torch.ones(2), "1": torch.zeros(3, dtype=torch.int64)}))
)
def test_arbitrary_json_is_a_value_or_a_wire_error(what, blob):
    """Whatever a guest writes as a value, decoding it gives a value or WireError."""
    with contextlib.suppress(WireError):
        Decoder(blob, lambda _: None, lambda tensor, _what: tensor).decode(what)


def test_a_frame_may_not_claim_more_than_the_cap():
    """A frame that claims gigabytes is refused before anything is allocated."""
    with pytest.raises(WireError, match="claims"):
        receive(wire.PREFIX.pack(wire.MAGIC, 10, (1 << 32) - 1))
    with pytest.raises(WireError, match="claims"):
        receive(wire.PREFIX.pack(wire.MAGIC, (1 << 32) - 1, 0))


def test_a_claimed_size_is_not_allocated():
    """A frame that claims the most that is allowed and sends nothing costs no memory."""
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(Closed):
        receive(wire.PREFIX.pack(wire.MAGIC, wire.MAX_HEADER, wire.MAX_BLOB) + b"{")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("depth", [200, 100_000, 2_000_000])
def test_deep_headers_are_refused(depth):
    """Nesting is bounded before the JSON is read."""
    with pytest.raises(WireError, match="nested"):
        wire.parse_header(b'{"a":' + b"[" * depth + b"]" * depth + b"}")


def test_brackets_in_texts_are_no_nesting():
    """A long text full of brackets is only a text."""
    text = "[{" * 10_000 + '\\"'
    assert wire.parse_header(json.dumps({"a": text}).encode()) == {"a": text}


@pytest.mark.parametrize(
    "blob",
    [
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"{}" + b"x" * 8,
        struct.pack("<Q", 60) + b'{"0":{"dtype":"F32","shape":[4000],"data_offsets":[0,16]}}' + b"  " + b"\0" * 16,
        save({"0": torch.ones(4)})[:-3],
        bytes(range(64)),
    ],
    ids=["endless header", "bytes too many", "shape too large", "cut short", "no safetensors"],
)
def test_blobs_that_lie_are_refused(blob):
    """A blob whose shapes and sizes do not agree with its bytes is refused."""
    with pytest.raises(WireError):
        Decoder(blob, lambda _: None, lambda tensor, _what: tensor).decode({"t": 0})


@pytest.mark.parametrize(
    "what",
    [
        {"t": 0, "st": [1 << 40], "sh": [2]},
        {"t": 0, "st": [0], "sh": [1 << 40]},
        {"t": 0, "st": [1], "sh": [3]},
        {"t": 0, "st": [-1], "sh": [2]},
        {"t": 0, "st": [1, 1], "sh": [2]},
        {"t": 7},
        {"t": "0"},
        {"t": 0, "v": "cuda:99999999999999999999"},
        {"t": 0, "v": "evil"},
        {"G": 0, "t": 0, "v": "cpu"},
        {"y": "__class__"},
        {"d": [[[1], 2]]},
        {"d": [[{"l": []}, 2]]},
        {"l": {}, "u": {}},
        {"b": "not base64!"},
        {"z": [-1]},
        {"s": [1]},
        [],
        {},
    ],
)
def test_values_that_lie_are_refused(what):
    """Strides beyond the memory, unknown entries, devices and dtypes, keys that cannot be keys: WireError."""
    blob = save({"0": torch.ones(2)})
    with pytest.raises(WireError):
        Decoder(blob, no_object, lambda tensor, _what: tensor).decode(what)


def test_an_expanded_tensor_may_not_claim_more_than_a_frame():
    """One element that claims to be a terabyte of them is refused: whoever computed with it would run out of memory."""
    blob = save({"0": torch.ones(1)})
    with pytest.raises(WireError, match="claims more elements"):
        Decoder(blob, no_object, lambda tensor, _what: tensor).decode({"t": 0, "st": [0], "sh": [1 << 40]})


def test_strides_may_not_multiply_a_message(monkeypatch):
    """Many tensors, each spread out a little, may not take more memory together than a frame."""
    monkeypatch.setattr(wire, "MAX_BLOB", 100_000)
    blob = save({str(number): torch.ones(2) for number in range(10)})
    decoder = Decoder(blob, no_object, lambda tensor, _what: tensor)
    spread = [{"t": number, "st": [4000], "sh": [2]} for number in range(10)]
    assert torch.equal(decoder.decode(spread[0]), torch.ones(2))
    with pytest.raises(WireError, match="memory"):
        decoder.decode({"l": spread})


def test_keys_of_one_hash_are_refused():
    """Numbers whose hashes are all equal would make a dict quadratic; a few of them, and many others, are well."""
    wrong = [[number * (2**61 - 1), 0] for number in range(1, 5_000)]
    with pytest.raises(WireError, match="same hash"):
        Decoder(b"", no_object, no_object).decode({"d": wrong})
    right = dict.fromkeys([*range(-5_000, 5_000), *(number * (2**61 - 1) for number in range(1, 100))], 0)
    assert there_and_back(right) == right


def test_a_dtype_is_asked_of_a_list_not_of_torch():
    """A name of the sender's is looked up among the dtypes: as an attribute of torch it could import a module."""
    assert there_and_back(torch.float8_e4m3fn) is torch.float8_e4m3fn
    with pytest.raises(WireError):
        Decoder(b"", no_object, no_object).decode({"y": "_dynamo"})


def test_the_supervisor_looks_while_bytes_drip_in():
    """A frame that comes byte by byte, always in time for the next, does not keep the supervisor from looking."""

    class Stop(Exception):
        pass

    def tick():
        raise Stop

    class Dripping:
        def fileno(self):
            return 0

        def setblocking(self, flag):
            pass

        def recv(self, size):
            return b"x"

    channel = Channel(Dripping(), tick=tick)
    with pytest.raises(Stop):
        channel._take(10_000, math.inf)


def test_waiting_ends_at_the_deadline():
    """A sender that says nothing costs the deadline and no more."""
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimedOut):
        Channel(ours, tick=lambda: None).receive(deadline=0.0)


def test_the_supervisor_may_end_a_wait():
    """What the tick raises ends the wait."""

    class Stop(Exception):
        pass

    def tick():
        raise Stop

    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(Stop):
        Channel(ours, tick=tick).receive()
