#!/usr/bin/env bash
# Print a Python of version 3.11 or newer that can make virtual environments.
# 3.11 is tried first: what is tested most. A shim that only says "not installed" is passed over.
set -u
for name in python3.11 python3.12 python3.13 python3; do
  path=$(command -v "$name") || continue
  "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$path"; exit 0; }
done
echo python3
