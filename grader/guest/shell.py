"""Runs notebook cells in an IPython shell and keeps what they show, within bounds."""

from __future__ import annotations

import ast
import base64
import builtins
import contextlib
import io
import linecache
import os
import signal
import subprocess
import sys
import time
import types
from typing import Any

from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from .described import describe_exception

__all__ = ["Shell"]

MAX_OUTPUTS = 200
MAX_PNG = 4 << 20


class _Bounded(io.TextIOBase):
    """A text stream that keeps the first part of what is written and counts the rest."""

    def __init__(self, outputs: _Outputs, name: str) -> None:
        super().__init__()
        self._outputs = outputs
        self.name = name

    def write(self, text: str) -> int:
        self._outputs.stream(self.name, str(text))
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"


class _Outputs:
    """The outputs of one cell, in order, within a byte budget."""

    def __init__(self, budget: int) -> None:
        self.items: list[dict[str, Any]] = []
        self.left = budget
        self.dropped = 0

    def stream(self, name: str, text: str) -> None:
        kept = text[: max(0, self.left)]
        self.left -= len(kept)
        self.dropped += len(text) - len(kept)
        if not kept:
            return
        last = self.items[-1] if self.items else None
        if last is not None and last["kind"] == "stream" and last["name"] == name and len(last["parts"]) < 100_000:
            last["parts"].append(kept)
        elif len(self.items) < MAX_OUTPUTS:
            self.items.append({"kind": "stream", "name": name, "parts": [kept]})
        else:
            self.dropped += len(kept)

    def display(self, data: dict[str, Any]) -> None:
        text = str(data.get("text/plain", ""))
        png = data.get("image/png")
        if isinstance(png, bytes):
            png = base64.b64encode(png).decode()
        size = len(text) + (len(png) if isinstance(png, str) else 0)
        picture = isinstance(png, str) and len(png) <= MAX_PNG
        if len(self.items) >= MAX_OUTPUTS or (len(text) > self.left and not picture):
            self.dropped += size
            return
        self.left -= len(text)
        item: dict[str, Any] = {"kind": "display", "text": text[: 1 << 16]}
        if picture:
            item["png"] = png
        self.items.append(item)

    def plain(self) -> list[dict[str, Any]]:
        found = [
            {"kind": "stream", "name": item["name"], "text": "".join(item["parts"])} if "parts" in item else item
            for item in self.items
        ]
        if self.dropped:
            found.append({"kind": "stream", "name": "stderr", "text": f"… {self.dropped} more characters not kept\n"})
        return found


class _Publisher(DisplayPublisher):  # type: ignore[misc]
    outputs: _Outputs | None = None

    def publish(self, data: dict[str, Any], *_: Any, **__: Any) -> None:
        if self.outputs is not None:
            self.outputs.display(data)

    def clear_output(self, wait: bool = False) -> None:  # noqa: ARG002
        if self.outputs is not None:
            self.outputs.items.clear()


class Shell:
    """An IPython shell whose cells are named ``<cell N>`` and whose output is kept as plain data."""

    def __init__(self) -> None:
        main = types.ModuleType("__main__")
        self.running = False
        InteractiveShell.clear_instance()
        # History would start a thread, which no fork of the warm process could take along.
        config = Config({"HistoryManager": {"enabled": False, "hist_file": ":memory:"}})
        shell = InteractiveShell.instance(user_module=main, display_pub_class=_Publisher, config=config)
        self.shell = shell
        self.namespace: dict[str, Any] = shell.user_ns
        sys.modules["__main__"] = main
        shell.showtraceback = lambda *_, **__: None
        shell.showsyntaxerror = lambda *_, **__: None
        shell.showindentationerror = lambda *_, **__: None
        shell.ask_exit = lambda *_: None
        shell.enable_gui = lambda *_, **__: None
        shell.system = self._system
        shell.compile.get_code_name = self._code_name
        shell.user_ns["exit"] = shell.user_ns["quit"] = _exit
        # Figures are shown at the end of a cell, as in Jupyter; a preloaded pyplot has chosen its backend already.
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        self._index = 0
        self._outputs = _Outputs(0)
        self._own_transforms = self._transforms()
        shell.ast_node_interactivity = "last_expr"

        if "matplotlib.pyplot" in sys.modules:
            self.run(0, "%matplotlib inline", 0)

    def enter(self) -> None:
        """Become the process's shell: from here on it runs a student's cells."""
        builtins.input = _no_input
        signal.signal(signal.SIGINT, self._interrupted)
        close_inherited_output()

    def _interrupted(self, *_: Any) -> None:
        if self.running:
            raise KeyboardInterrupt

    def _code_name(self, _raw: str, _transformed: str, _number: int) -> str:
        return f"<cell {self._index}>"

    def _system(self, command: str) -> None:
        done = subprocess.run(  # noqa: S602 - the student's own command in the student's own sandbox
            command, shell=True, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False
        )
        self._outputs.stream("stdout", done.stdout)
        self._outputs.stream("stderr", done.stderr)
        self.namespace["_exit_code"] = done.returncode

    def _show(self, value: Any) -> None:
        if value is None:
            return
        data, _ = self.shell.display_formatter.format(value)
        self._outputs.display(data)

    def run(self, index: int, source: str, output_bytes: int) -> dict[str, Any]:
        """Run one cell: status (ok, raised), outputs, error. Never raises for what the student's code does."""
        self._index = index
        outputs = self._outputs = _Outputs(output_bytes)
        self.shell.display_pub.outputs = outputs
        started = time.perf_counter()
        error: BaseException | None = None
        saved = sys.stdout, sys.stderr, sys.displayhook
        sys.stdout, sys.stderr = _Bounded(outputs, "stdout"), _Bounded(outputs, "stderr")
        self.running = True
        try:
            error = self._run(source)
        except BaseException as caught:  # noqa: BLE001 - SystemExit, KeyboardInterrupt and whatever else
            error = caught
        finally:
            self.running = False
            sys.stdout, sys.stderr, sys.displayhook = saved
        result: dict[str, Any] = {
            "status": "ok" if error is None else "raised",
            "outputs": outputs.plain(),
            "seconds": time.perf_counter() - started,
        }
        if error is not None:
            result["error"] = describe_exception(error)
            result["interrupted"] = isinstance(error, KeyboardInterrupt)
        return result

    def _run(self, source: str) -> BaseException | None:
        """Compile and run statement by statement, as Jupyter does: the last expression is shown."""
        shell = self.shell
        name = f"<cell {self._index}>"
        transformed, tree = self._parse(source, name)
        linecache.cache[name] = (len(transformed), None, transformed.splitlines(keepends=True), name)
        if "await" in transformed or "async" in transformed:
            return self._run_async(source)
        if tree is None:
            tree = compile(transformed, name, "exec", ast.PyCF_ONLY_AST | shell.compile.flags, dont_inherit=True)
        for transformer in shell.ast_transformers:
            tree = transformer.visit(tree)
        body = list(tree.body)
        shown = isinstance(body[-1], ast.Expr) and not transformed.rstrip().endswith(";") if body else False
        last = ast.Expression(body.pop().value) if shown else None
        shell.events.trigger("pre_execute")
        try:
            code = compile(ast.Module(body, type_ignores=[]), name, "exec", shell.compile.flags, dont_inherit=True)
            exec(code, self.namespace)  # noqa: S102 - this is what the guest is for
            if last is not None:
                ast.copy_location(last, last.body)
                value = eval(  # noqa: S307
                    compile(last, name, "eval", shell.compile.flags, dont_inherit=True), self.namespace
                )
                self._show(value)
        finally:
            shell.events.trigger("post_execute")
        return None

    def _parse(self, source: str, name: str) -> tuple[str, ast.Module | None]:
        """A cell as IPython would have it, and parsed where it is that already.

        No magic, no ``!``, no ``?`` and no ``>>>`` is valid Python, so what is valid Python stays as it is; a prompt
        (``In [1]: x = 2``) may be. IPython, whose tokenizer is in Python, takes ten times as long to find nothing.
        """
        shell = self.shell
        if self._transforms() == self._own_transforms and "In [" not in source:
            with contextlib.suppress(SyntaxError, ValueError):
                flags = ast.PyCF_ONLY_AST | shell.compile.flags
                return source, compile(source, name, "exec", flags, dont_inherit=True)
        return shell.transform_cell(source), None

    def _transforms(self) -> list[Any]:
        """What IPython does to the text of a cell; a notebook may add to it."""
        manager = self.shell.input_transformer_manager
        lists = (manager.cleanup_transforms, manager.line_transforms, manager.token_transformers)
        return [*lists[0], *lists[1], *lists[2], *self.shell.input_transformers_post]

    def _run_async(self, source: str) -> BaseException | None:
        """Cells that may hold a top-level ``await`` take IPython's own way."""
        sys.displayhook = self._show
        result = self.shell.run_cell(source, store_history=False, silent=False)
        if result.error_before_exec is not None:
            return result.error_before_exec  # type: ignore[no-any-return]
        return result.error_in_exec  # type: ignore[no-any-return]


def _exit(*_: Any) -> None:
    """In Jupyter, exit() restarts the kernel; when marking it only ends the cell."""
    raise SystemExit(0)


def _no_input(prompt: object = "") -> str:  # noqa: ARG001
    raise EOFError("input() cannot be answered when a notebook is marked")


def close_inherited_output() -> None:
    """Send what C code prints to nowhere: what Python prints is kept by the cell's outputs."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
