#!/usr/bin/env bash
# Make the virtual environment in $1 with exactly the versions of constraints.txt. Can be run again at any time.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "grader needs Python 3.11 or newer; install it with: sudo apt-get install python3.11 python3.11-venv" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "this Python cannot make virtual environments; install: sudo apt-get install python3-venv" >&2
  exit 1
fi
"$python" -c 'import sys; print("Python", sys.version.split()[0], "at", sys.executable)'
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
say() { echo "[$1/3] $2"; }
# torch alone first: its exact version is a CPU build where one is offered, and no range may then replace it.
torch=$(grep -E '^torch==' constraints.txt)
say 1 "$torch (a few hundred MB the first time)"
pip install --quiet --constraint constraints.txt "$torch"
say 2 "the other packages"
pip install --quiet --constraint constraints.txt --editable '.[dev]'
say 3 "checking"
pip check
