#!/usr/bin/env bash
# Make the virtual environment in $1 with exactly the versions of constraints.txt. Can be run again at any time.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}
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
