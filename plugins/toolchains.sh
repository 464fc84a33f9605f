#!/usr/bin/env bash
# Installs what `mapper-host build` needs for the languages other than Rust, on Debian: once, as root. Nothing of it is needed to build
# or test the host itself; the tests that need it are `cargo test -p host --test conformance`.
set -euo pipefail

# The Go that the tests ran with.
GO=1.26.8

missing=()
# Python: componentize-py itself is installed by the first build.
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)

# Go: the SDK exports functions (go:wasmexport, Go 1.24).
is_go_new() { go version 2>/dev/null | grep -Eq 'go1\.(2[4-9]|[3-9][0-9])'; }
is_go_new || missing+=(golang-go)

# JavaScript and TypeScript: esbuild and componentize-qjs are installed by the first build.
node --version 2>/dev/null | grep -Eq '^v(1[89]|[2-9][0-9])\.' && command -v npm >/dev/null || missing+=(nodejs npm)

# C: the compiler, its linker, its own library for WebAssembly, and the C library of WASI.
for package in clang-14 lld-14 libclang-rt-14-dev-wasm32 wasi-libc; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
# Its unit tests run natively, and its package is installed by CMake.
command -v make >/dev/null || missing+=(make)
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v cmake >/dev/null || missing+=(cmake)
command -v pkg-config >/dev/null || missing+=(pkg-config)

if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -q
  apt-get install -qy --no-install-recommends "${missing[@]}"
fi

# Debian's own Go may be older, but fetches a newer one as it fetches any module, checked against the same public log of sums.
newer_go() {
  local dir=/usr/local/lib/go-$GO work module
  work=$(mktemp -d)
  module=golang.org/toolchain@v0.0.1-go$GO.linux-$(dpkg --print-architecture)
  GOMODCACHE=$work GOFLAGS=-modcacherw go mod download "$module"
  rm -rf "$dir"
  cp -r "$work/$module" "$dir"
  rm -rf "$work"
  # A module can hold neither programs nor other modules: these are what the go command itself would put right.
  find "$dir" -name _go.mod -execdir mv {} go.mod \;
  chmod +x "$dir"/bin/* "$dir"/pkg/tool/*/*
  ln -sfn "$dir"/bin/* /usr/local/bin/
}
is_go_new || newer_go
hash -r
is_go_new || { echo "'go' is still $(go version): put /usr/local/bin before it on the PATH" >&2; exit 1; }
