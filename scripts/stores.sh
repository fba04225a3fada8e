#!/usr/bin/env bash
# Two S3-compatible stores for the tests of sources, in a folder of their own: moto and SeaweedFS. Said aloud if they cannot be had.
set -u
cd "$(dirname "$0")/.."
venv=target/stores-venv
wanted=tests/stores/requirements.txt
mkdir -p target
exec 9>target/stores-venv.lock
flock 9
if ! cmp --silent "$wanted" "$venv/ready"; then
    if ! python3 -m venv "$venv" >/dev/null 2>&1 ||
        ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >/dev/null; then
        echo "SKIPPED: tests of object stores need python3 with venv, and PyPI"
        exit 1
    fi
    cp "$wanted" "$venv/ready"
fi
