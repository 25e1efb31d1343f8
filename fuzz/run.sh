#!/bin/bash
# Every target, one after the other, for so many seconds each: fuzz/run.sh [SECONDS] [TARGET…]
# What fails lies in fuzz/findings; the exit code is the number of targets that found something.
set -u
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
python=${PYTHON:-.venv/bin/python}
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <("$python" -c 'import sys; sys.path[:0] = ["fuzz", "."]; import targets; print(*targets.TARGETS, sep="\n")')
fi
found=0
for target in "${targets[@]}"; do
    echo "== $target, $seconds s"
    PYTHONPATH=".:${PYTHONPATH:-}" nice -n 19 "$python" fuzz/fuzz.py "$target" -max_total_time="$seconds" -verbosity=1 2>&1 |
        grep -aE "^(stat::number|stat::peak|stat::average|SUMMARY|Done|==[0-9]+== ERROR| *=== Uncaught|[A-Za-z.]*(Error|Exception)|artifact_prefix|Test unit)|^  File .*/(grader|fuzz)/"
    [ "${PIPESTATUS[0]}" -eq 0 ] || found=$((found + 1))
done
exit "$found"
