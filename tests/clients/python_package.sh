#!/usr/bin/env bash
# The Python package from a fresh virtual environment, which is made again when the package or what it needs has changed: types and style,
# and everything in python_package.py. Skips aloud where there is no python3 with venv, or no PyPI.
set -euo pipefail
program=$1
venv=target/package-venv
state=$(find clients/python tests/clients/python_package.txt \( -name __pycache__ -o -name '.*_cache' \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum)

if [[ ! -f $venv/ready || $(<"$venv/ready") != "$state" ]]; then
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >/dev/null 2>&1 ||
        ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/clients/python_package.txt "clients/python[plot]"; then
        echo "SKIPPED: the Python package needs python3 with venv, and PyPI"
        exit 0
    fi
    printf '%s\n' "$state" >"$venv/ready"
fi

"$venv/bin/ruff" check --quiet --no-cache clients/python
"$venv/bin/ruff" format --check --quiet --no-cache clients/python
(cd clients/python && "../../$venv/bin/mypy" --cache-dir=/dev/null --no-error-summary --python-executable "../../$venv/bin/python")
"$venv/bin/python" tests/clients/python_package.py "$program"
