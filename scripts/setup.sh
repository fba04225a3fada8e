#!/usr/bin/env bash
# Installs what is missing where that is possible, and names it where it is not.
set -eu
missing=0

need() { # what it is, how to get it
    echo "missing: $1"
    echo "  to get it: $2"
    missing=1
}

if ! command -v cc >/dev/null 2>&1; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "── installing a C compiler"
        apt-get update -qq && apt-get install -y -qq gcc libc6-dev make >/dev/null
    else
        need "a C compiler (cc)" "install gcc or clang, such as: sudo apt-get install build-essential"
    fi
fi

if ! command -v cargo >/dev/null 2>&1; then
    need "cargo" "install Rust 1.95 or newer from your distribution or with rustup"
else
    wanted=$(sed -nE 's/^rust-version = "(.*)"/\1/p' Cargo.toml | head -n 1)
    have=$(rustc --version | cut -d ' ' -f 2)
    if [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" != "$wanted" ]; then
        need "Rust $wanted or newer (this is $have)" "rustup update stable"
    fi
    for part in fmt clippy; do
        if ! cargo "$part" --version >/dev/null 2>&1; then
            name=$part
            [ "$part" = fmt ] && name=rustfmt
            rustup component add "$name" 2>/dev/null || need "cargo $part (only for make test)" "rustup component add $name"
        fi
    done
fi

# The broker's tests start a PostgreSQL of their own, and are skipped without one.
if ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "── installing PostgreSQL (for tests only; the service stays off)"
    mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    apt-get update -qq && apt-get install -y -qq postgresql >/dev/null || echo "PostgreSQL is not there: some tests will be skipped"
fi

# Only tests need it, and say aloud what they skip without.
if ! command -v strace >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "── installing strace (for tests of faults)"
    apt-get update -qq && apt-get install -y -qq strace >/dev/null || echo "strace is not installed; tests that need it are skipped"
fi

exit "$missing"
