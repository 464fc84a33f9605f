#!/usr/bin/env bash
# Installs what `host build` needs for the languages other than Rust, on Debian: once, as root. Nothing of it is needed to build
# or test the host itself; the tests that need it are `cargo test -p host --test conformance`.
set -euo pipefail

missing=()
# Python: componentize-py itself is installed by the first build.
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)

# Go: Debian's own may be too old for the SDK, which exports functions (go:wasmexport, Go 1.24).
go version 2>/dev/null | grep -Eq 'go1\.(2[4-9]|[3-9][0-9])' || { echo "Go 1.24 or newer is missing; install it, and put its bin folder on the PATH" >&2; exit 1; }

# JavaScript and TypeScript: esbuild and componentize-qjs are installed by the first build.
node --version 2>/dev/null | grep -Eq '^v(1[89]|[2-9][0-9])\.' && command -v npm >/dev/null || missing+=(nodejs npm)

if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -q
  apt-get install -qy --no-install-recommends "${missing[@]}"
fi
