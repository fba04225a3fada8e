#!/usr/bin/env bash
# Other implementations of what we read, write and answer, against ours: the rules of disclosure in Python, whose answers the
# Rust tests compare with, python-tuf in both directions, two JSON-LD processors, a SHACL validator with the
# shapes of HealthDCAT-AP, Flight SQL clients in Python, Java and Go, the
# notebook in docs, and the Python package in clients/python. Needs what `cargo test` has built, and PyPI, Maven Central and the Go module proxy the first time and when the
# requirements change; skips aloud what is not there.
set -euo pipefail
programs=target/debug/examples
venv=target/venv
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

if ! cmp --silent tests/clients/requirements.txt "$venv/ready"; then
    if ! python3 -m venv "$venv" >/dev/null 2>&1 ||
        ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/clients/requirements.txt ||
        # For the SHACL shapes that it brings alone: what it needs to run is a hundred packages.
        ! "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps dh-healthdcat==0.2.0; then
        echo "SKIPPED: the clients in tests/clients need python3 with venv, and PyPI"
        exit 0
    fi
    cp tests/clients/requirements.txt "$venv/ready"
fi

"$venv/bin/python" tests/enforce/patients.py --check
"$venv/bin/python" tests/oracles/random_cases.py --check
"$venv/bin/python" tests/oracles/demo.py --check
"$venv/bin/python" tests/clients/python_tuf.py "$programs/tuf-client" "$programs/tuf-repository"
"$programs/odrl" policies/signed/oncology breast-cancer-research >"$place/policy.jsonld"
"$venv/bin/python" tests/clients/odrl_jsonld.py "$place/policy.jsonld"
"$venv/bin/python" tests/clients/dcat_shacl.py target/debug/datenraum
"$venv/bin/python" tests/clients/gateway.py target/debug/datenraum
"$venv/bin/python" tests/clients/notebook.py target/debug/datenraum
tests/clients/python_package.sh target/debug/datenraum
