#!/usr/bin/env bash
# Install what no Python package brings: Python with venv, bubblewrap (the sandbox), and for tests only Chromium, a
# Docker engine and mmdebstrap. As root or with sudo through apt; otherwise say what to install. What is for tests only
# skips them when it is missing.
set -u
PATH=$PATH:/usr/sbin:/sbin
here=$(dirname "$0")
python=${PYTHON:-$("$here/find_python.sh")}
missing=()
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  missing+=(python3 python3-venv)
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  missing+=("$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
fi
command -v bwrap >/dev/null || missing+=(bubblewrap)
command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
command -v dockerd >/dev/null || missing+=(docker.io)
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
  echo "installing ${missing[*]} …"
  # Somebody else may be installing at this moment: wait for the lock rather than fail.
  apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  "${apt[@]}" update >/dev/null 2>&1
  for name in "${missing[@]}"; do
    "${apt[@]}" install -y --no-install-recommends "$name" >/dev/null 2>&1 || echo "could not install $name" >&2
  done
fi

python=$("$here/find_python.sh")
needed=()
"$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || needed+=(python3 python3-venv)
command -v bwrap >/dev/null || needed+=(bubblewrap)
if [ ${#needed[@]} -gt 0 ]; then
  echo "grader needs Python 3.11 or newer with venv, and bubblewrap for the sandbox. Install them with:" >&2
  echo "  sudo apt-get install ${needed[*]}" >&2
  exit 1
fi
command -v chromium >/dev/null || command -v google-chrome >/dev/null ||
  echo "browser tests will be skipped; to run them: sudo apt-get install chromium" >&2
command -v dockerd >/dev/null && command -v mmdebstrap >/dev/null ||
  echo "tests of the docker sandbox will be skipped; to run them: sudo apt-get install docker.io mmdebstrap" >&2
exit 0
