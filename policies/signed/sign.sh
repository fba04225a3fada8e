#!/usr/bin/env bash
# Signs policies/oncology again, as a board of three of which two must sign, into policies/signed/oncology.
# The keys are throw-away keys, made for this example: see README.md. Usage: policies/signed/sign.sh [DATENRAUM]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath "${1:-$here/../../target/debug/datenraum}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/throw-away-keys/* "$work"
cp -r "$here/../oncology" "$work/oncology"
cp "$here/members.toml" "$work/oncology/members.toml"
cd "$work"
chmod 600 ./*.key
export DATENRAUM_PASSPHRASE_FILE=$work/passphrase.txt
"$program" board init --dir oncology --space oncology --title "Oncology: breast and lung cancer cohorts" \
    --member ana.pub --member bea.pub --member carl.pub --threshold 2 \
    --snapshot-key snapshot.pub --timestamp-key timestamp.pub --valid-days 3660
mapfile -t digests < <("$program" --json board draft --dir oncology --valid-days 3660 |
    sed -nE 's/.*"digest": "(sha256:[0-9a-f]{64})".*/\1/p')
for member in ana carl; do
    "$program" board sign --dir oncology --key "$member.key" "${digests[@]/#/--digest=}" --yes
done
mkdir repository
"$program" board publish --dir oncology --repository repository --snapshot-key snapshot.key --timestamp-key timestamp.key
rm -rf "$here/oncology"
cp -r oncology "$here/oncology"
