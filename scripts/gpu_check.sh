#!/usr/bin/env bash
# Everything that needs a GPU, in one run without a network: a Markdown table on stdout, for docs/gpu.md.
#
#   scripts/gpu_check.sh [FOLDER]
#   STEPS="sandbox references class benchmark" scripts/gpu_check.sh     some of the steps (these are all of them)
#
# The machine brings Python (3.11 or later) with torch for CUDA; PYTHON names it, else it is python3. What is missing
# travels with the checkout: wheels in FOLDER (.whl), Debian packages such as bubblewrap in .deb. Each step is a row; a
# step that fails is a row as well, and the steps behind it run. Exit 0: all passed; 1: one did not; 2: there is no GPU.
#
# shellcheck disable=SC2329 # the steps are functions that `row` calls
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
if ! compgen -G '/dev/nvidia[0-9]*' >/dev/null; then
  echo "no GPU: nothing was checked"
  exit 2
fi

wheels=${1:-.whl}
steps=${STEPS:-sandbox references class benchmark}
python=${PYTHON:-python3}
work=$(mktemp -d "${TMPDIR:-/tmp}/gpu-check-XXXXXX")
trap 'rm -rf "$work"' EXIT
rows="$work/rows"
failed=0

# row WHAT COMMAND...: run it, note what it said last, how it ended and how long it took.
row() {
  local what=$1 log started status said
  shift
  log="$work/log-$(date +%s%N)"
  started=$(date +%s.%N)
  echo "== $what" >&2
  timeout 1200 bash -c '"$@"' row "$@" >"$log" 2>&1
  status=$?
  said=$(grep -v '^[[:space:]]*$' "$log" | tail -n 1 | tr '|' '/' | cut -c1-160)
  if [ "$status" -eq 0 ]; then
    said="passed: $said"
  else
    failed=1
    said="**FAILED** (exit $status): $said"
    tail -n 60 "$log" >&2
  fi
  printf '| %s | %s | %.1f |\n' "$what" "$said" "$(echo "$(date +%s.%N) $started" | awk '{print $1 - $2}')" >>"$rows"
}

# ---------------------------------------------------------------------------------------- what the checks need

packages=$("$python" -c 'import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))') || {
  echo "$python has no torch → name one that has: PYTHON=/path/to/python scripts/gpu_check.sh" >&2
  exit 1
}
# A virtual environment of its own that also sees the packages beside torch: guests find it as they find any other.
"$python" -m venv --without-pip "$work/venv" || exit 1
site=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$packages" >"$site/beside-torch.pth"
if compgen -G "$wheels/*.whl" >/dev/null; then
  "$python" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$wheels"/*.whl >&2 || exit 1
fi
if compgen -G '.deb/*.deb' >/dev/null; then
  for package in .deb/*.deb; do
    dpkg-deb -x "$package" "$work/deb" || exit 1
  done
  export PATH="$work/deb/usr/bin:$PATH"
  libraries=$(find "$work/deb" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
  export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$libraries"
fi
python="$work/venv/bin/python"
export PYTHONPATH=$PWD

missing=$("$python" - <<'PY'
import re
import tomllib
from importlib import metadata

todo, seen, missing = tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"] + ["nvidia-ml-py"], set(), []
while todo:
    line = todo.pop()
    name = re.match(r"[\w.-]+", line)[0].lower().replace("_", "-")
    if name in seen or name.startswith(("nvidia-c", "nvidia-n", "triton")) or "extra ==" in line or re.search("sys_platform|os_name", line):
        continue
    seen.add(name)
    try:
        todo += metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        if "python_version" not in line and "platform" not in line:
            missing.append(name)
print(" ".join(sorted(missing)))
PY
)
if [ -n "$missing" ]; then
  echo "not installed: $missing" >&2
  echo "  → where there is a network: pip download --no-deps --only-binary=:all: --python-version 3.12 -d .whl NAME==VERSION" >&2
  echo "    (versions in constraints.txt), and bring the folder .whl along" >&2
fi
if ! command -v bwrap >/dev/null; then
  echo "bubblewrap is not installed → where there is a network: apt-get download bubblewrap, and bring it along in .deb" >&2
fi

# ------------------------------------------------------------------------------------------------------- steps

grader() {
  "$python" -P -c 'from grader.cli import main; main()' "$@"
}

# Torch on this machine, outside of any sandbox: where this fails, nothing below can pass.
torch_alone() {
  "$python" -c 'import torch; x = torch.ones(8, device="cuda").sum().item(); assert x == 8
print(torch.__version__, torch.cuda.get_device_name())'
}

# grader doctor's line about the GPU, which a guest was asked for.
doctor() {
  grader doctor --sandbox "$1" --json | "$python" -c '
import json, sys
line, = [each for each in json.load(sys.stdin)["capabilities"] if each["id"] == "gpu"]
print(line["how"], "→ " + line["remedy"] if line["remedy"] else "")
sys.exit(not line["holds"])'
}

# The solution of an assignment, marked with the GPU handed over: the run begins only if it gets full marks.
reference() {
  local name=$1 course="$work/course-$1"
  mkdir -p "$course/submitted/blank/$name" && cp -r assignments solutions "$course" || return 1
  # CUDA's own start takes memory and computing time, and a notebook that differentiates while it loads is loaded anew
  # for each check: room for that, so that what fails fails for another reason.
  sed -e 's/^defaults:$/defaults:\n  gpu: preferred/' -e 's/memory: [0-9]* [GM]iB/memory: 8 GiB/' \
    -e 's/\(cell\|check\): [0-9]* s/\1: 60 s/g' -e 's/wall: [0-9]* min/wall: 30 min/' course.yaml >"$course/course.yaml"
  cp "assignments/$name/$name.ipynb" "$course/submitted/blank/$name/" || return 1
  (cd "$course" && grader grade "$name" --seed 11) || return 1
  "$python" - "$course/journal/records.jsonl" <<'PY'
import json
import sys

record = [json.loads(line) for line in open(sys.argv[1])][-1]["record"]
gpu, timing = record["hardware"]["gpu"], record["timing"]
assert gpu, "the record names no GPU"
print(f"full marks on {gpu}; a blank notebook took {timing['total_s']:.1f} s")
PY
}

benchmark() {
  "$python" benchmarks/gpu.py
}

# Pytest; a test that is skipped because it finds no GPU, or no sandbox, has not passed here.
tests() {
  local said
  said=$("$python" -m pytest -q -p no:cacheprovider "$@" 2>&1)
  local status=$?
  echo "$said"
  if grep -qE 'SKIPPED.*(no GPU here|cannot run here)' <<<"$said"; then
    return 1
  fi
  return "$status"
}

export -f benchmark doctor grader reference tests torch_alone # for the shell behind timeout
export python work
wanted() {
  [[ " $steps " == *" $1 "* ]]
}

row "torch without a sandbox" torch_alone
row "grader doctor, bubblewrap" doctor bubblewrap
row "grader doctor, no sandbox" doctor none
if wanted sandbox; then
  row "unit tests" tests tests/unit/test_gpu.py
  row "kernel launches" tests tests/unit/test_launches.py
  row "conformance, bubblewrap with a GPU" tests tests/conformance -k "bubblewrap and GPU"
  row "conformance, no sandbox with a GPU" tests tests/conformance -k "none and GPU"
fi
if wanted references; then
  for name in autograd softmax-regression dropout cnn self-attention fgsm; do
    row "reference of $name, gpu: preferred" reference "$name"
  done
fi
# One class, marked once: faked clocks, work on a side stream, a hog, memory with and without torch's cap, sticky errors.
wanted class && row "a class with attackers on a GPU" tests tests/integration/test_gpu_marking.py
wanted benchmark && row "benchmark" benchmark
grep -h '^| .* |$' "$work"/log-* 2>/dev/null >>"$rows"

echo "$(date -u +%F), $("$python" -c 'import platform, torch; print(platform.python_version(), torch.__version__)' | awk '{print "Python " $1 ", torch " $2}'), $(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -n 1)"
echo
echo "| what | result | seconds |"
echo "| --- | --- | ---: |"
cat "$rows"
exit "$failed"
