#!/usr/bin/env bash
# Runs one step: says what it does, lets it speak for itself, and says how long it took.
set -eu
what=$1
shift
began=$SECONDS
echo "── $what"
code=0
"$@" || code=$?
if [ "$code" -eq 0 ]; then echo "── $what: done after $((SECONDS - began)) s"; else echo "── $what: failed after $((SECONDS - began)) s" >&2; fi
exit "$code"
