#!/usr/bin/env bash
# Compares with PyTorch on this machine: installs the distribution's PyTorch and OpenBLAS when missing, builds, runs.
# Usage: benchmarks/peers/run.sh [options of compare.py]
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! /usr/bin/python3 -c 'import torch' 2>/dev/null || ! ls /usr/lib/*/openblas-pthread/libblas.so.3 >/dev/null 2>&1; then
    # Without OpenBLAS this PyTorch multiplies matrices with the reference BLAS, some 30 times slower: not a peer.
    sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq python3-torch libopenblas0-pthread
fi
dotnet build -c Release -v q benchmarks/RawDiffusion.Benchmarks
exec /usr/bin/python3 benchmarks/peers/compare.py benchmarks/RawDiffusion.Benchmarks/bin/Release/net10.0/RawDiffusion.Benchmarks.dll "$@"
