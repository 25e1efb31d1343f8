"""Calls and gradients over the wall: the same code on both sides, with the trust in the subclass.

Theory of operation. Requests nest strictly: whoever waits for a reply serves the requests that come meanwhile (the
student calls a host function, which calls the student again). A reply must answer the innermost request; anything else
is a ``WireError``.

Autograd crosses like this. Tensors that require grad travel in a *request* as leaves with a number (``rg``). The side
that computes keeps the graph of what it returns as a *node* and lists which of those leaves it depends on; the side
that asked gets tensors attached to its own graph by ``RemoteNode``, whose backward is one more request (``grad``).
With ``create_graph`` the gradients that come back are themselves outputs of such a request, so second order needs no
code of its own. Leaves that belong to the computing side (the student's parameters) have their gradients put aside and
added to ``.grad`` only when the asking side really accumulates (``.backward()``, not ``autograd.grad``): an *anchor*
leaf tells. A node is dropped when the asking side's graph is.
"""

from __future__ import annotations

import itertools
import math
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from .wire import Channel, Decoder, Encoder, Unsendable, WireError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_HANDLES", "MAX_NESTED", "Node", "Peer", "graph_leaves"]

MAX_HANDLES = 100_000
MAX_NESTED = 40
LEAF_NUMBER = "_wall_number"
ANCHOR = "_wall_anchor"


@dataclass(slots=True)
class Node:
    """A piece of graph kept for the other side: outputs as a function of its leaves and of ours."""

    inputs: list[torch.Tensor]
    own: list[torch.Tensor]
    outputs: list[torch.Tensor]
    put_aside: dict[int, list[torch.Tensor | None]] = field(default_factory=dict)


class Peer:
    """One side of the wall.

    Args:
        channel: the frames.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.asked_at = 0.0
        """When the first byte of our last request was sent (``time.perf_counter``)."""
        self.nodes: dict[int, Node] = {}
        self._exports: dict[int, Any] = {}
        self._export_ids: dict[int, int] = {}
        self._sent: weakref.WeakValueDictionary[int, torch.Tensor] = weakref.WeakValueDictionary()
        self._sent_strong: dict[int, torch.Tensor] = {}
        self._numbers = itertools.count(1)
        self._waiting: list[int] = []
        self._dropped_nodes: list[int] = []
        self._dropped_handles: list[int] = []

    # -- what subclasses decide ------------------------------------------------------------------------------------

    def perform(self, op: str, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]) -> Any:
        """Do what the other side asks; return its value, or ``Answer`` for a value with facts."""
        raise NotImplementedError

    def describe_error(self, error: BaseException) -> dict[str, Any]:
        """Plain JSON about an exception that a request ended in."""
        raise NotImplementedError

    def rebuild_error(self, what: dict[str, Any]) -> BaseException:
        """The exception to raise for the other side's description."""
        raise NotImplementedError

    def describe_export(self, value: Any) -> dict[str, Any]:
        """Plain JSON about an object that is handed out by handle. Raises Unsendable if it must not leave."""
        raise NotImplementedError

    def foreign(self, what: dict[str, Any]) -> Any:
        """A proxy for an object of the other side's."""
        raise NotImplementedError

    def foreign_handle(self, value: Any) -> int | None:
        """The handle, if the value is a proxy of ``foreign``; None otherwise."""
        raise NotImplementedError

    def violated(self, error: WireError) -> BaseException:
        """What to raise when the other side's answer is no valid one."""
        return error

    def in_use(self, handle: int) -> bool:
        """Whether a proxy for this handle came back to life after ``drop_handle``."""
        raise NotImplementedError

    # -- asking ----------------------------------------------------------------------------------------------------

    def ask(
        self,
        op: str,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        options: dict[str, Any] | None = None,
        deadline: float = math.inf,
        fd: int | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """One request: its value and the facts beside it. Raises what ``rebuild_error`` makes of an error."""
        if len(self._waiting) >= MAX_NESTED:
            raise WireError("requests are nested too deeply")
        number = next(self._numbers)
        held: dict[int, torch.Tensor] = {}
        encoder = Encoder(self._refer, lambda tensor, what: self._describe_argument(tensor, what, held))
        header: dict[str, Any] = {
            "q": number,
            "op": op,
            "a": [encoder.encode(value) for value in args],
            "k": {str(name): encoder.encode(value) for name, value in (kwargs or {}).items()},
            "gm": torch.is_grad_enabled(),
        }
        if options:
            header["x"] = options
        if self._dropped_nodes or self._dropped_handles:
            header["dn"], self._dropped_nodes = self._dropped_nodes, []
            handles, self._dropped_handles = self._dropped_handles, []
            header["dh"] = [handle for handle in handles if not self.in_use(handle)]
        self.channel.send(header, encoder.blob(), deadline=deadline)
        self.asked_at = self.channel.sent_at
        if fd is not None:
            self.channel.send_fd(fd, deadline=deadline)
        self._waiting.append(number)
        try:
            while True:
                reply, blob = self.channel.receive(deadline=deadline)
                if "q" in reply:
                    self.answer(reply, blob)
                    if self.channel.tick is not None:
                        self.channel.tick()  # a flood of requests never lets the channel wait, and look
                elif reply.get("r") == number:
                    break
                else:
                    raise WireError("a reply that answers no open request")
        finally:
            self._waiting.pop()
        return self._read_reply(reply, blob, encoder, held)

    def _read_reply(
        self, reply: dict[str, Any], blob: bytearray, encoder: Encoder, held: dict[int, torch.Tensor]
    ) -> tuple[Any, dict[str, Any]]:
        if "err" in reply:
            what = reply["err"]
            if not isinstance(what, dict):
                raise WireError("an error must be an object")
            raise self.rebuild_error(what)
        decoder = Decoder(blob, self._resolve, self._attach_result)
        for number, state in _items(reply.get("gens", {})):
            target = {str(n): generator for n, generator in enumerate(encoder.generators)}.get(number)
            if target is None:
                raise WireError("the state of a generator that was not sent")
            try:
                target.set_state(decoder.decode({"t": state}))
            except (RuntimeError, TypeError) as error:
                raise WireError("a generator's state must be a generator's state") from error
        if "node" in reply:
            self._attach_node(reply["node"], decoder, held)
        value = decoder.decode(reply.get("v"))
        if held and reply.get("keeps"):
            self._sent_strong.update(held)
        facts = reply.get("f", {})
        if not isinstance(facts, dict):
            raise WireError("facts must be an object")
        return value, facts

    def _attach_node(self, what: Any, decoder: Decoder, held: dict[int, torch.Tensor]) -> None:
        """Give the tensors of a reply that the other side can differentiate their place in our graph."""
        if not isinstance(what, dict) or type(what.get("id")) is not int:
            raise WireError("a malformed node")
        ids = what.get("in", [])
        outs = what.get("outs", [])
        if not isinstance(ids, list) or not isinstance(outs, list) or not outs:
            raise WireError("a malformed node")
        node = NodeRef(self, what["id"], ids)
        if not torch.is_grad_enabled():
            return
        inputs = []
        for number in ids:
            if type(number) is not int:
                raise WireError("a malformed node")
            tensor = held.get(number)
            tensor = self._sent_strong.get(number) if tensor is None else tensor
            tensor = self._sent.get(number) if tensor is None else tensor
            if tensor is None:
                raise WireError("a node that depends on a tensor that was not sent")
            inputs.append(tensor)
        raw = [decoder.decode({"t": index}) for index in outs]
        if not all(isinstance(t, torch.Tensor) and (t.is_floating_point() or t.is_complex()) for t in raw):
            raise WireError("only floating-point tensors have gradients")
        anchor = _anchor(node) if what.get("own") is True else None
        attached = RemoteNode.apply(  # type: ignore[no-untyped-call]
            node, anchor, tuple(raw), *inputs
        )
        for index, tensor in zip(outs, attached, strict=True):
            decoder._cache[index] = tensor

    # -- answering -------------------------------------------------------------------------------------------------

    def answer(self, header: dict[str, Any], blob: bytearray, *, deadline: float = math.inf) -> None:
        """Serve one request of the other side's. Raises WireError for a malformed one."""
        number, op = header.get("q"), header.get("op")
        args, kwargs, options = header.get("a", []), header.get("k", {}), header.get("x", {})
        well_formed = (
            type(number) is int
            and isinstance(op, str)
            and isinstance(args, list)
            and isinstance(kwargs, dict)
            and isinstance(options, dict)
        )
        if not well_formed or len(self._waiting) >= MAX_NESTED:
            raise WireError("a malformed request")
        self._forget(header)
        decoder = Decoder(blob, self._resolve, self._attach_argument)
        values = [decoder.decode(item) for item in args]
        named = {name: decoder.decode(item) for name, item in kwargs.items()}
        before = {n: g.get_state() for n, g in decoder.generators.items()}
        encoder = Encoder(self._refer, lambda _tensor, _what: None)
        reply: dict[str, Any] = {"r": number}
        try:
            with torch.set_grad_enabled(header.get("gm") is not False):
                value = self.perform(str(op), values, named, options)
                if isinstance(value, Answer):
                    reply["f"] = value.facts
                    value = value.value
                self._write_value(reply, value, encoder)
        except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001 - whatever it is, the other side is told
            encoder = Encoder(self._refer, lambda _tensor, _what: None)
            reply = {"r": number, "err": self.describe_error(error)}
        states = {
            str(n): encoder._store(g.get_state())["t"]
            for n, g in decoder.generators.items()
            if "err" not in reply and not torch.equal(before[n], g.get_state())
        }
        if states:
            reply["gens"] = states
        try:
            self.channel.send(reply, encoder.blob(), deadline=deadline)
        except Unsendable as error:
            self.channel.send({"r": number, "err": self.describe_error(error)}, deadline=deadline)

    def _write_value(self, reply: dict[str, Any], value: Any, encoder: Encoder) -> None:
        outputs: list[torch.Tensor] = []
        indices: list[int] = []

        def describe(tensor: torch.Tensor, what: dict[str, Any]) -> None:
            if not tensor.requires_grad:
                return
            if tensor.is_leaf and not hasattr(tensor, LEAF_NUMBER):
                what["own"] = 1
            else:
                outputs.append(tensor)
                indices.append(what["t"])

        handles = len(self._exports)
        encoder._describe = describe
        reply["v"] = encoder.encode(value)
        if len(self._exports) > handles or isinstance(reply["v"], dict):
            reply["keeps"] = 1
        if outputs:
            leaves = graph_leaves(outputs)
            inputs = [leaf for leaf in leaves if hasattr(leaf, LEAF_NUMBER)]
            own = [leaf for leaf in leaves if not hasattr(leaf, LEAF_NUMBER)]
            number = next(self._numbers)
            self.nodes[number] = Node(inputs, own, outputs)
            numbers = [getattr(leaf, LEAF_NUMBER) for leaf in inputs]
            reply["node"] = {"id": number, "in": numbers, "own": bool(own), "outs": indices}

    def differentiate(self, number: int, grads: list[torch.Tensor | None], options: dict[str, Any]) -> Any:
        """The gradients of a kept node's inputs (``grad`` request). ``options["create"]``: keep a graph of them too."""
        node = self._node(number)
        if len(grads) != len(node.outputs):
            raise WireError("as many gradients as outputs are due")
        chosen = [(out, grad) for out, grad in zip(node.outputs, grads, strict=True) if grad is not None]
        targets = node.inputs + node.own
        create = options.get("create") is True
        with torch.set_grad_enabled(create):
            found = (
                torch.autograd.grad(
                    [out for out, _ in chosen],
                    targets,
                    [grad.to(out.device) for out, grad in chosen],
                    retain_graph=True,
                    create_graph=create,
                    allow_unused=True,
                )
                if chosen and targets
                else [None] * len(targets)
            )
        token = next(self._numbers)
        if node.own:
            node.put_aside[token] = [g if g is None else g.detach() for g in found[len(node.inputs) :]]
        return [token, *found[: len(node.inputs)]]

    def accumulate(self, number: int, token: int) -> None:
        """Add gradients that ``differentiate`` put aside to the ``.grad`` of our own leaves."""
        node = self._node(number)
        for leaf, grad in zip(node.own, node.put_aside.pop(token, []), strict=False):
            if (anchored := getattr(leaf, ANCHOR, None)) is not None:
                anchored(leaf)
            elif grad is not None:
                leaf.grad = grad.clone() if leaf.grad is None else leaf.grad + grad

    def _node(self, number: int) -> Node:
        node = self.nodes.get(number)
        if node is None:
            raise WireError("a node that is not kept here")
        return node

    def _forget(self, header: dict[str, Any]) -> None:
        for number in header.get("dn", ()):
            self.nodes.pop(number, None)
        for handle in header.get("dh", ()):
            value = self._exports.pop(handle, None)
            self._export_ids.pop(id(value), None)

    # -- handles and tensors ---------------------------------------------------------------------------------------

    def export(self, value: Any) -> int:
        """The handle under which the other side knows a value of ours."""
        handle = self._export_ids.get(id(value))
        if handle is None:
            if len(self._exports) >= MAX_HANDLES:
                raise Unsendable("too many objects were handed out")
            handle = next(self._numbers)
            self._exports[handle] = value
            self._export_ids[id(value)] = handle
        return handle

    def _refer(self, value: Any) -> dict[str, Any]:
        handle = self.foreign_handle(value)
        if handle is not None:
            return {"m": handle}
        about = self.describe_export(value)
        return {"o": self.export(value), **about}

    def _resolve(self, what: dict[str, Any]) -> Any:
        if "m" in what:
            if what["m"] not in self._exports:
                raise WireError("a handle that was not given out")
            return self._exports[what["m"]]
        if type(what["o"]) is not int:
            raise WireError("a handle must be a number")
        return self.foreign(what)

    def _describe_argument(self, tensor: torch.Tensor, what: dict[str, Any], held: dict[int, torch.Tensor]) -> None:
        if tensor.requires_grad:
            number = getattr(tensor, "_wall_sent", None)
            if number is None or self._sent.get(number) is not tensor:
                number = next(self._numbers)
                tensor._wall_sent = number  # type: ignore[attr-defined]
                self._sent[number] = tensor
            what["rg"] = number
            held[number] = tensor

    def _attach_argument(self, tensor: torch.Tensor, what: dict[str, Any]) -> torch.Tensor:
        if "rg" in what:
            number = what["rg"]
            if type(number) is not int or not (tensor.is_floating_point() or tensor.is_complex()):
                raise WireError("only floating-point tensors require grad")
            tensor = torch.nn.Parameter(tensor) if "p" in what else tensor.requires_grad_()
            setattr(tensor, LEAF_NUMBER, number)
        elif "p" in what:
            tensor = torch.nn.Parameter(tensor, requires_grad=False)
        return tensor

    def _attach_result(self, tensor: torch.Tensor, what: dict[str, Any]) -> torch.Tensor:
        if "own" in what and (tensor.is_floating_point() or tensor.is_complex()):
            tensor = tensor.requires_grad_()
        return tensor

    def drop_handle(self, handle: int) -> None:
        """Tell the other side, with the next request, that a proxy of its object is gone."""
        self._dropped_handles.append(handle)

    def drop_node(self, number: int) -> None:
        """Tell the other side, with the next request, that our graph no longer needs a node of its."""
        self._dropped_nodes.append(number)


@dataclass(frozen=True, slots=True)
class Answer:
    """A value with facts beside it (plain JSON)."""

    value: Any
    facts: dict[str, Any]


class NodeRef:
    """The asking side's hold on a node; tells the other side when nothing needs it any more."""

    __slots__ = ("__weakref__", "number", "numbers", "peer", "token")

    def __init__(self, peer: Peer, number: int, numbers: list[int]) -> None:
        self.peer = peer
        self.number = number
        self.numbers = numbers
        self.token: int | None = None

    def __del__(self) -> None:
        self.peer.drop_node(self.number)


def _anchor(node: NodeRef) -> torch.Tensor:
    """A leaf whose AccumulateGrad runs exactly when ``.backward()`` accumulates into leaves."""
    anchor = torch.zeros((), requires_grad=True)
    ref = weakref.ref(node)

    def accumulated(_: torch.Tensor) -> None:
        node = ref()
        if node is not None and node.token is not None:
            token, node.token = node.token, None
            node.peer.ask("accumulate", [node.number, token])

    anchor.register_post_accumulate_grad_hook(accumulated)
    setattr(anchor, ANCHOR, accumulated)
    return anchor


class RemoteNode(torch.autograd.Function):
    """Outputs computed on the other side, as a function of tensors that were sent there."""

    @staticmethod
    def forward(
        ctx: Any, node: NodeRef, anchor: torch.Tensor | None, outputs: tuple[torch.Tensor, ...], *inputs: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Pass the values on and remember where they came from."""
        ctx.node = node
        ctx.has_anchor = anchor is not None
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs)
        return tuple(output.view_as(output) for output in outputs)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        """One request; differentiable itself when a graph of the gradients is wanted."""
        inputs = ctx.saved_tensors
        node: NodeRef = ctx.node
        create = torch.is_grad_enabled()
        peer = node.peer
        before = {number: peer._sent_strong.get(number) for number in node.numbers}
        if create:
            peer._sent_strong.update(zip(node.numbers, inputs, strict=True))
        try:
            value, _ = peer.ask("grad", [node.number, *grads], options={"create": create})
        finally:
            for number, tensor in before.items() if create else ():
                if tensor is None:
                    peer._sent_strong.pop(number, None)
                else:
                    peer._sent_strong[number] = tensor
        try:
            token, found = _gradients(value, inputs)
        except WireError as error:
            raise peer.violated(error) from None
        node.token = token
        # The node itself must live as long as gradients of gradients may be asked for: the saved tensors hold it.
        first = torch.zeros(()) if ctx.has_anchor else None
        return (None, first, None, *found)


def _gradients(value: Any, inputs: Sequence[torch.Tensor]) -> tuple[int, list[torch.Tensor | None]]:
    """Check what a ``grad`` request returned: one tensor of the right shape and dtype, or None, for each input."""
    if not isinstance(value, list) or len(value) != len(inputs) + 1 or type(value[0]) is not int:
        raise WireError("malformed gradients")
    found: list[torch.Tensor | None] = []
    for grad, tensor in zip(value[1:], inputs, strict=True):
        if grad is not None and (
            not isinstance(grad, torch.Tensor) or grad.shape != tensor.shape or grad.dtype != tensor.dtype
        ):
            raise WireError("a gradient must have the shape and dtype of its tensor")
        found.append(grad)
    return value[0], found


def graph_leaves(outputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The leaves that require grad and that the outputs depend on, each once, without recursion."""
    leaves: dict[int, torch.Tensor] = {}
    seen: set[Any] = set()
    stack: list[Any] = []
    for output in outputs:
        if output.is_leaf:
            leaves.setdefault(id(output), output)
        elif output.grad_fn is not None:
            stack.append(output.grad_fn)
    while stack:
        function = stack.pop()
        if function in seen:
            continue
        seen.add(function)
        variable = getattr(function, "variable", None)
        if isinstance(variable, torch.Tensor):
            leaves.setdefault(id(variable), variable)
        stack.extend(following for following, _ in function.next_functions if following is not None)
    return list(leaves.values())


def _items(value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise WireError("an object was due")
    return list(value.items())
