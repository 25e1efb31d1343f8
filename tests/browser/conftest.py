"""A real browser, and a server on this machine that notices who calls."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # records_for_reports


@pytest.fixture(scope="session")
def chromium():
    """The path of Chromium; skips where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("no Chromium on this machine: install the package `chromium`")


@pytest.fixture
def open_page(chromium, tmp_path):
    """Opens an address and returns the document as it stands once loaded and settled."""

    def run(address, width=1280):
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--virtual-time-budget=4000",
            "--dump-dom", address,
        ]  # fmt: skip
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout

    return run


@dataclass
class Canary:
    """What is served, and every path that was asked for."""

    address: str
    pages: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)


@pytest.fixture
def canary():
    """A server on loopback: serves ``pages``, remembers all ``calls``."""
    heard = Canary(address="")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.calls.append(self.path)
            body = heard.pages.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    heard.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield heard
    server.shutdown()
    server.server_close()
    thread.join()
