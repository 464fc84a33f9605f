#!/usr/bin/env bash
# Writes the copies that each SDK package has of the contract and of the licence, and the settings of clang-format.
# `cargo test -p harness --test packages` fails while a copy differs.
set -euo pipefail
cd "$(dirname "$0")"

for package in */; do
  mkdir -p "$package/wit"
  cp ../../wit/mapper.wit "$package/wit/mapper.wit"
  cp ../../LICENSE "$package/LICENSE"
done
cp ../templates/c/.clang-format c/.clang-format
