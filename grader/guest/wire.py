"""Frames of the wall: a length, a small JSON header, a safetensors blob. No pickle, nothing builds objects by name.

Theory of operation. A frame is ``magic(4) header_length(u32) blob_length(u32) header blob``, big-endian. The header is
one JSON object; the blob, if any, is a safetensors file whose entries ``"0" … "n"`` the header refers to. Everything
read is treated as hostile: sizes are capped before anything is allocated, bytes are taken as they arrive (a frame that
claims a gigabyte and sends nothing costs nothing), nesting is bounded, dtypes come from a list, and safetensors' own
reader checks that shape times item size equals the bytes. Whatever is wrong ends in ``WireError``, nothing else.

Values become JSON like this (one-letter keys, so that plain data stays readable):

    None, bool, int, float, str   themselves (NaN and the infinities as JSON's usual extensions)
    {"l": […]} {"u": […]}         list, tuple          {"d": [[k, v], …]}  dict      {"c": [re, im]}  complex
    {"b": "…"}                    bytes, base64        {"s": [a, b, c]}    slice     {"e": 0}         Ellipsis
    {"z": […]}                    torch.Size           {"y": "float32"}    dtype     {"v": "cuda:0"}  device
    {"t": i, …}                   tensor: blob entry i, with "st" strides, "rg" requires grad, "p" parameter,
                                  "g" its .grad, "n" numpy array, "k" complex128 stored as pairs, "x" numpy scalar
    {"G": key, "t": i}            torch.Generator: its state is blob entry i
    {"o": id, …} {"m": id}        an object of the sender's / of the receiver's, by handle
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
import select
import socket
import struct
import time
from collections import Counter, OrderedDict, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, TensorSpec, serialize
from safetensors.torch import load as load_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "MAX_BLOB",
    "MAX_HEADER",
    "WANTED_DEVICE",
    "Channel",
    "Closed",
    "Decoder",
    "Encoder",
    "TimedOut",
    "Unsendable",
    "WireError",
]

MAGIC = b"GRW1"
PREFIX = struct.Struct(">4sII")
MAX_HEADER = 8 << 20
MAX_BLOB = 512 << 20
MAX_DEPTH = 64
MAX_ITEMS = 200_000
MAX_NDIM = 32
MAX_CROWD = 200
"""Keys of one dict with the same hash: looking one up costs as many comparisons."""
CHUNK = 1 << 18
TICK_MS = 20
PARTS = 512

DTYPES: dict[str, torch.dtype] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128, torch.int64,
        torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    )
}  # fmt: skip
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
ALL_DTYPES = {name: dtype for name, dtype in vars(torch).items() if isinstance(dtype, torch.dtype)}
"""Every name of a dtype. Asking ``torch`` for a name of the sender's could import a module."""
_NOTHING = torch.zeros(1)
"""Where tensors without elements lie: a pointer must not be null, even to no bytes."""
WANTED_DEVICE = "_wall_device"
"""The attribute of a tensor on the CPU that is to arrive on another device."""
DEVICES = ("cpu", "cuda", "meta", "mps")


class WireError(Exception):
    """The bytes are no valid frame, or the frame no valid message."""


class Closed(Exception):
    """The other side is gone."""


class TimedOut(Exception):
    """The deadline passed before a whole frame was there."""


class Unsendable(Exception):
    """A value cannot be put into a frame (too deep, too large, of a kind the wall does not know)."""


class Channel:
    """Frames over one stream socket.

    Args:
        sock: a connected AF_UNIX stream socket; the channel owns it.
        tick: called about every 20 ms while waiting; may raise to end the wait (the host's supervision).
        max_blob: cap in bytes on a received blob.
    """

    def __init__(
        self, sock: socket.socket, *, tick: Callable[[], None] | None = None, max_blob: int = MAX_BLOB
    ) -> None:
        self.sock = sock
        self.tick = tick
        self.max_blob = max_blob
        self.bytes_in = 0
        self.bytes_out = 0
        self.sent_at = 0.0
        """When the first byte of the last frame was handed to the kernel (``time.perf_counter``)."""
        self.received_at = 0.0
        """When the last byte of the last frame had come."""
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN)
        if tick is not None:
            sock.setblocking(False)

    def send(
        self, header: dict[str, Any], blob: bytes = b"", *, fds: Iterable[int] = (), deadline: float = math.inf
    ) -> None:
        """Send one frame. Raises Unsendable before the first byte, Closed or TimedOut after it."""
        try:
            head = json.dumps(header, separators=(",", ":"), check_circular=False).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError, RecursionError) as error:
            raise Unsendable(str(error)) from None
        if len(head) > MAX_HEADER or len(blob) > MAX_BLOB:
            raise Unsendable("larger than a frame may be")
        data = PREFIX.pack(MAGIC, len(head), len(blob)) + head
        data = data + blob if len(blob) <= CHUNK else data
        self.sent_at = time.perf_counter()
        self._send(data, list(fds), deadline)
        if len(blob) > CHUNK:
            self._send(blob, [], deadline)

    def _send(self, data: bytes, fds: list[int], deadline: float) -> None:
        view = memoryview(data)
        while view:
            try:
                if fds:
                    sent = socket.send_fds(self.sock, [view], fds)
                    fds = []
                else:
                    sent = self.sock.send(view, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
                continue
            except InterruptedError:
                continue
            except OSError as error:
                raise Closed(str(error)) from None
            self.bytes_out += sent
            view = view[sent:]

    def receive(self, *, deadline: float = math.inf) -> tuple[dict[str, Any], bytearray]:
        """The next frame: header and blob. Raises WireError, Closed or TimedOut."""
        magic, head_length, blob_length = PREFIX.unpack(self._take(PREFIX.size, deadline))
        if magic != MAGIC:
            raise WireError("a frame must start with the protocol's mark")
        if head_length > MAX_HEADER or blob_length > self.max_blob:
            raise WireError("the frame claims to be larger than a frame may be")
        head = self._take(head_length, deadline)
        blob = self._take(blob_length, deadline)
        self.received_at = time.perf_counter()
        return parse_header(head), blob

    def receive_fd(self) -> int:
        """One descriptor, sent beside a single byte right after a frame (guest side only)."""
        _, fds, _, _ = socket.recv_fds(self.sock, 1, 1)
        if len(fds) != 1:
            raise WireError("a descriptor was announced and did not come")
        return int(fds[0])

    def send_fd(self, fd: int, *, deadline: float = math.inf) -> None:
        """Send one descriptor beside a single byte."""
        self._send(b"\0", [fd], deadline)

    def _take(self, size: int, deadline: float) -> bytearray:
        data = bytearray()
        for parts in itertools.count(1):
            if len(data) == size:
                break
            if self.tick is not None and parts % PARTS == 0:
                self.tick()  # bytes that drip in one by one never let ``_wait`` look
            try:
                part = self.sock.recv(min(CHUNK, size - len(data)))
            except BlockingIOError:
                self._wait(select.POLLIN, deadline)
                continue
            except InterruptedError:
                continue
            except OSError as error:
                raise Closed(str(error)) from None
            if not part:
                raise Closed("the other side closed the wall")
            data += part
        self.bytes_in += size
        return data

    def _wait(self, event: int, deadline: float) -> None:
        """Wait until the socket is ready, letting the supervisor look in between."""
        self._poll.modify(self.sock.fileno(), event)
        while True:
            left = deadline - time.monotonic()
            if self._poll.poll(max(0.0, min(TICK_MS, left * 1000))):
                return
            if self.tick is not None:
                self.tick()
            if left <= 0:
                raise TimedOut

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self.sock.close()


def parse_header(data: bytes | bytearray) -> dict[str, Any]:
    """One JSON object from bytes. Raises WireError for anything else."""
    if _depth(data) > 2 * MAX_DEPTH + 8:
        raise WireError("the header is nested too deeply")
    try:
        header = json.loads(bytes(data).decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"the header is no JSON: {type(error).__name__}") from None
    if not isinstance(header, dict):
        raise WireError("the header must be a JSON object")
    return header


def _depth(data: bytes | bytearray) -> int:
    """An upper bound on the nesting depth, in one pass of C code."""
    opened = data.count(b"[") + data.count(b"{")
    if opened <= MAX_DEPTH:
        return opened
    depth = deepest = 0
    in_string = escaped = False
    for byte in data:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


class Encoder:
    """Turns the values of one message into JSON and collects their tensors.

    Args:
        refer: turns an object that has no plain form into its JSON (a handle). Raises Unsendable if it cannot.
        describe: adds what a side knows of a tensor (graph, identity) to its JSON.
    """

    def __init__(
        self, refer: Callable[[Any], dict[str, Any]], describe: Callable[[torch.Tensor, dict[str, Any]], None]
    ) -> None:
        self._refer = refer
        self._describe = describe
        self._tensors: dict[str, torch.Tensor] = {}
        self._seen: dict[int, dict[str, Any]] = {}
        self._keep: list[Any] = []
        self._items = 0
        self.generators: list[torch.Generator] = []

    def blob(self) -> bytes:
        """The safetensors file with all tensors of the message (empty if there are none)."""
        if not self._tensors:
            return b""
        # What ``safetensors.torch.save`` ends in, too. On its way there it makes numpy arrays, of tensors that
        # ``_store`` has left dense and apart: a tenth of the pages that a copy for one small check touches.
        specs = {
            name: TensorSpec(
                dtype=DTYPE_NAMES[tensor.dtype],
                shape=list(tensor.shape),
                data_ptr=tensor.data_ptr() or _NOTHING.data_ptr(),
                data_len=tensor.numel() * tensor.itemsize,
            )
            for name, tensor in self._tensors.items()
        }
        return bytes(serialize(specs))

    def encode(self, value: Any, depth: int = 0) -> Any:
        """JSON for a value. Raises Unsendable."""
        kind = type(value)
        if value is None or kind is bool or kind is str or kind is float:
            return value
        if kind is int:
            if value.bit_length() > 8192:
                raise Unsendable("an integer of more than 8192 bits")
            return value
        self._items += 1
        if depth > MAX_DEPTH or self._items > MAX_ITEMS:
            raise Unsendable("a value that is nested too deeply or has too many parts")
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        plain = _PLAIN.get(kind)
        if plain is not None:
            return plain(self, value, depth + 1)
        if isinstance(value, np.ndarray):
            return self._numpy(value)
        if isinstance(value, np.generic) and _torch_dtype(value.dtype) is not None:
            return {**self._numpy(np.asarray(value)), "x": 1}
        if isinstance(value, tuple) and type(value).__iter__ is tuple.__iter__:
            return {"u": [self.encode(item, depth + 1) for item in tuple.__iter__(value)]}
        return self._refer(value)

    def _mapping(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        return {"d": [[self.encode(k, depth), self.encode(v, depth)] for k, v in value.items()]}

    def _tensor(self, tensor: torch.Tensor) -> dict[str, Any]:
        known = self._seen.get(id(tensor))
        if known is not None:
            return known
        if tensor.layout is not torch.strided or tensor.dtype not in DTYPE_NAMES:
            raise Unsendable(f"a tensor of layout {tensor.layout} and dtype {tensor.dtype}")
        what = self._store(tensor.detach())
        self._seen[id(tensor)] = what
        self._keep.append(tensor)
        if isinstance(tensor, torch.nn.Parameter):
            what["p"] = 1
        device = tensor.device if tensor.device.type != "cpu" else getattr(tensor, WANTED_DEVICE, None)
        if device is not None:
            what["v"] = str(device)
        if tensor.is_leaf and tensor.grad is not None:
            what["g"] = self._store(tensor.grad.detach())
        self._describe(tensor, what)
        return what

    def _store(self, tensor: torch.Tensor) -> dict[str, Any]:
        what: dict[str, Any] = {"t": len(self._tensors)}
        if type(tensor) is not torch.Tensor:
            tensor = tensor.as_subclass(torch.Tensor)
        if tensor.numel() * tensor.itemsize > MAX_BLOB:
            raise Unsendable("a tensor of more elements than a frame may hold")
        tensor = tensor.resolve_conj().resolve_neg()
        if tensor.is_contiguous():
            pass
        elif _span(tensor.shape, tensor.stride()) > _widest(tensor.numel()):
            tensor = tensor.contiguous()  # a column of a large matrix: its strides would cost the matrix's memory
        else:
            what["st"] = list(tensor.stride())
            what["sh"] = list(tensor.shape)
            tensor = _dense(tensor)
        if tensor.device.type != "cpu":
            tensor = tensor.cpu()
        if tensor.dtype is torch.complex128:
            what["k"] = 1
            tensor = torch.view_as_real(tensor)
        self._keep.append(tensor)
        # Views of one storage would be refused by safetensors as shared memory: give each its own.
        if (tensor.numel() and tensor.untyped_storage().nbytes() != tensor.numel() * tensor.itemsize) or any(
            tensor.data_ptr() == other.data_ptr() for other in self._tensors.values() if other.numel()
        ):
            tensor = tensor.clone()
        self._tensors[str(what["t"])] = tensor
        return what

    def _numpy(self, array: np.ndarray[Any, Any]) -> dict[str, Any]:
        dtype = _torch_dtype(array.dtype)
        if dtype not in DTYPE_NAMES:
            raise Unsendable(f"a numpy array of dtype {array.dtype}")
        plain = np.array(array, order="C", copy=True, subok=False)
        return {**self._store(torch.from_numpy(plain)), "n": 1}

    def _generator(self, generator: torch.Generator, _depth: int) -> dict[str, Any]:
        what = self._store(generator.get_state())
        self.generators.append(generator)
        return {"G": len(self.generators) - 1, "t": what["t"], "v": str(generator.device)}


def _dense(tensor: torch.Tensor) -> torch.Tensor:
    """The distinct elements of a strided tensor, contiguous: an expanded dimension is sent once."""
    narrowed = tensor
    for dim, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if stride == 0 and size > 1:
            narrowed = narrowed.narrow(dim, 0, 1)
    return narrowed.contiguous()


def _torch_dtype(dtype: np.dtype[Any]) -> torch.dtype | None:
    return DTYPES.get(dtype.name) if dtype.kind in "fciub" and dtype.name != "bfloat16" else None


_PLAIN: dict[type, Callable[[Encoder, Any, int], Any]] = {
    list: lambda enc, value, depth: {"l": [enc.encode(item, depth) for item in value]},
    tuple: lambda enc, value, depth: {"u": [enc.encode(item, depth) for item in value]},
    torch.Size: lambda _enc, value, _depth: {"z": list(value)},
    **dict.fromkeys((dict, OrderedDict, defaultdict, Counter), lambda enc, value, depth: enc._mapping(value, depth)),
    complex: lambda _enc, value, _depth: {"c": [value.real, value.imag]},
    bytes: lambda _enc, value, _depth: {"b": base64.b64encode(value).decode()},
    slice: lambda enc, value, depth: {"s": [enc.encode(v, depth) for v in (value.start, value.stop, value.step)]},
    type(...): lambda _enc, _value, _depth: {"e": 0},
    torch.dtype: lambda _enc, value, _depth: {"y": str(value).removeprefix("torch.")},
    torch.device: lambda _enc, value, _depth: {"v": str(value)},
    torch.Generator: lambda enc, value, depth: enc._generator(value, depth),
}


class Decoder:
    """Turns the JSON of one message back into values.

    Args:
        blob: the frame's blob.
        resolve: turns a handle's JSON (``{"o": …}`` or ``{"m": …}``) into an object. Raises WireError for unknown ones.
        attach: gives a decoded tensor its place in a graph, from the JSON that ``describe`` added.
    """

    def __init__(
        self,
        blob: bytes | bytearray,
        resolve: Callable[[dict[str, Any]], Any],
        attach: Callable[[torch.Tensor, dict[str, Any]], torch.Tensor],
    ) -> None:
        self._resolve = resolve
        self._attach = attach
        self._cache: dict[int, Any] = {}
        self._items = 0
        self._spread = 0
        self.generators: dict[int, torch.Generator] = {}
        self._tensors: dict[str, torch.Tensor] = {}
        if blob:
            try:
                self._tensors = load_tensors(bytes(blob))
            except (SafetensorError, KeyError, ValueError, RuntimeError, AssertionError, OverflowError) as error:
                raise WireError(f"the blob is no safetensors file: {type(error).__name__}") from None

    def decode(self, what: Any, depth: int = 0) -> Any:
        """The value of some JSON. Raises WireError."""
        if what is None or isinstance(what, bool | int | float | str):
            return what
        self._items += 1
        if depth > MAX_DEPTH or self._items > MAX_ITEMS:
            raise WireError("a value is nested too deeply or has too many parts")
        if not isinstance(what, dict) or not what:
            raise WireError("a value must be plain or tagged")
        try:
            return self._tagged(what, depth + 1)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError, binascii.Error) as error:
            raise WireError(f"a malformed value: {type(error).__name__}") from None

    def _tagged(self, what: dict[str, Any], depth: int) -> Any:
        if "G" in what:
            return self._generator(what)
        if "t" in what:
            return self._tensor(what)
        if "o" in what or "m" in what:
            return self._resolve(what)
        if len(what) != 1:
            raise WireError("a value has more than one tag")
        tag, body = next(iter(what.items()))
        if tag in ("l", "u"):
            items = [self.decode(item, depth) for item in _list(body)]
            return items if tag == "l" else tuple(items)
        if tag == "d":
            keys = [self._key(pair, depth) for pair in _list(body)]
            if len(keys) > MAX_CROWD and max(Counter(map(hash, keys)).values()) > MAX_CROWD:
                raise WireError("a dict whose keys all have the same hash")
            return {key: self.decode(pair[1], depth) for key, pair in zip(keys, body, strict=True)}
        return self._scalar(tag, body, depth)

    def _scalar(self, tag: str, body: Any, depth: int) -> Any:
        if tag == "z":
            return torch.Size([_size(item) for item in _list(body)])
        if tag == "c":
            real, imag = body
            return complex(float(real), float(imag))
        if tag == "b":
            return base64.b64decode(body, validate=True)
        if tag == "s":
            start, stop, step = (self.decode(item, depth) for item in body)
            return slice(start, stop, step)
        if tag == "e":
            return ...
        if tag == "y":
            return ALL_DTYPES[body] if body in ALL_DTYPES else _unknown(tag)
        if tag == "v":
            return _device(body)
        return _unknown(tag)

    def _key(self, pair: Any, depth: int) -> Any:
        if not isinstance(pair, list) or len(pair) != 2:
            raise WireError("a dict's item must be a pair")
        key = self.decode(pair[0], depth)
        if not isinstance(key, str | int | float | bool | tuple | bytes | None):
            raise WireError("a dict's key must be plain")
        hash(key)
        return key

    def _raw(self, what: dict[str, Any]) -> torch.Tensor:
        index = what["t"]
        if type(index) is not int:
            raise WireError("a tensor must name its entry in the blob")
        tensor = self._tensors[str(index)]
        if tensor.dtype not in DTYPE_NAMES or tensor.ndim > MAX_NDIM:
            raise WireError("a tensor of a dtype or rank that the wall does not carry")
        if "k" in what:
            tensor = torch.view_as_complex(tensor)
        if "st" in what:
            tensor = self._restride(
                tensor, [_size(n) for n in _list(what["sh"])], [_size(n) for n in _list(what["st"])]
            )
        return tensor

    def _restride(self, dense: torch.Tensor, shape: list[int], strides: list[int]) -> torch.Tensor:
        """A tensor of the given strides with the dense tensor's values. Strides that waste memory are refused."""
        if len(shape) != len(strides) or len(shape) > MAX_NDIM:
            raise WireError("strides and shape differ in rank")
        if math.prod(shape) * dense.itemsize > MAX_BLOB:
            raise WireError("a tensor that claims more elements than a frame may hold")
        if 0 in shape:
            return torch.empty_strided(shape, strides, dtype=dense.dtype)
        span = _span(shape, strides)
        self._spread += span * dense.itemsize
        if span > _widest(dense.numel()) or self._spread > MAX_BLOB:
            raise WireError("strides that need far more memory than the tensor has")
        base = torch.zeros(span, dtype=dense.dtype)
        reduced = [1 if stride == 0 else size for size, stride in zip(shape, strides, strict=True)]
        if math.prod(reduced) != dense.numel():
            raise WireError("strides that do not fit the tensor's values")
        base.as_strided(reduced, strides).copy_(dense.reshape(reduced))
        return base.as_strided(shape, strides)

    def _tensor(self, what: dict[str, Any]) -> Any:
        key = what["t"]
        if key in self._cache:
            return self._cache[key]
        tensor: Any = self._raw(what)
        if "n" in what:
            array = tensor.numpy()
            value = array[()] if "x" in what else array
        else:
            if "v" in what:
                device = _device(what["v"])
                tensor = tensor.to(device) if device.type == "cpu" or torch.cuda.is_available() else tensor
            value = self._attach(tensor, what)
            if "g" in what and value.is_leaf:
                value.grad = self._raw(what["g"]).to(value.device)
        self._cache[key] = value
        return value

    def _generator(self, what: dict[str, Any]) -> torch.Generator:
        number = what["G"]
        if type(number) is not int:
            raise WireError("a generator must have a number")
        if number not in self.generators:
            device = _device(what["v"])
            generator = torch.Generator(device if device.type == "cpu" or torch.cuda.is_available() else "cpu")
            generator.set_state(self._raw(what))
            self.generators[number] = generator
        return self.generators[number]


def _span(shape: Iterable[int], strides: Iterable[int]) -> int:
    """Elements from the first to the last of a tensor with these strides."""
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True) if size > 1)


def _widest(elements: int) -> int:
    """The widest span that so many elements are spread over; a tensor that is wider travels without its strides."""
    return 64 * elements + 4096


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise WireError("a list was due")
    return value


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 48:
        raise WireError("a size must be a whole number that is not negative")
    return value


def _device(name: Any) -> torch.device:
    if not isinstance(name, str) or name.split(":")[0] not in DEVICES:
        raise WireError("an unknown device")
    return torch.device(name)


def _unknown(tag: str) -> Any:
    raise WireError(f"an unknown tag {tag[:8]!r}")
