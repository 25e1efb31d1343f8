#!/usr/bin/env bash
# Install what no Python package brings: bubblewrap (the sandbox) and, for the browser tests, Chromium.
# As root or with sudo through apt; otherwise say what to install. Missing Chromium only skips tests.
set -u
missing=()
command -v bwrap >/dev/null || missing+=(bubblewrap)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
[ ${#missing[@]} -eq 0 ] && exit 0
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi
if command -v apt-get >/dev/null && [ "${as_root[*]:-}" != false ]; then
  echo "installing ${missing[*]} …"
  export DEBIAN_FRONTEND=noninteractive
  # Somebody else may be installing at this moment: wait for the lock rather than fail.
  apt=("${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=300)
  "${apt[@]}" update >/dev/null 2>&1
  for name in "${missing[@]}"; do
    "${apt[@]}" install -y --no-install-recommends "$name" >/dev/null 2>&1 || echo "could not install $name" >&2
  done
fi
if ! command -v bwrap >/dev/null; then
  echo "the sandbox needs bubblewrap; install it with: sudo apt-get install bubblewrap" >&2
  exit 1
fi
command -v chromium >/dev/null || echo "browser tests will be skipped; to run them: sudo apt-get install chromium" >&2
exit 0
