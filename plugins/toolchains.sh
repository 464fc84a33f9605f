#!/usr/bin/env bash
# Installs what `host build` needs for the languages other than Rust, on Debian: once, as root. Nothing of it is needed to build
# or test the host itself; the tests that need it are `cargo test -p host --test conformance`.
set -euo pipefail

missing=()
# Python: componentize-py itself is installed by the first build.
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)

if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -q
  apt-get install -qy --no-install-recommends "${missing[@]}"
fi
