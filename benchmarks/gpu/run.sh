#!/usr/bin/env bash
# Measures everything on a machine with a GPU and collects it in one folder, from the published program alone: no .NET, no sources.
#
#   dotnet publish src/RawDiffusion.Cli -p:PublishProfile=linux-x64      # here, once: artifacts/linux-x64/rawdiffusion
#   benchmarks/gpu/run.sh [--program FILE] [--out FOLDER] [--seconds S] [--no-peers]
#
# Copy the program and the folder benchmarks/ to the machine, or call it from a clone. Needed there: the driver and NVRTC (libnvrtc.so and
# its builtins); used where they are found: cuBLAS, compute-sanitizer, python3 with PyTorch for CUDA, which the peers need.
# No failure stops what comes after it; the last line and the exit code say whether all went well: 0, 1 something failed, 2 wrong use.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
program="" out="" seconds=0.25 peers=yes
usage() { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case "$1" in
        --program | --out | --seconds) [ $# -ge 2 ] || usage; declare "${1#--}=$2"; shift 2 ;;
        --no-peers) peers=no; shift ;;
        *) usage ;;
    esac
done
if [ -z "$program" ]; then
    for candidate in "$here/rawdiffusion" "$here/../../artifacts/linux-x64/rawdiffusion"; do
        [ -x "$candidate" ] && program=$candidate && break
    done
fi
[ -n "$program" ] && [ -x "$program" ] || { echo "run.sh: there is no program${program:+ $program}; publish it (see the head of this script), or name it with --program" >&2; exit 2; }
program=$(realpath "$program")
out=${out:-gpu-results-$(date -u +%Y%m%d-%H%M%S)}
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
if [ -n "$(ls -A "$out")" ]; then echo "run.sh: $out is not empty" >&2; exit 2; fi

failed=0
summary=$out/summary.md
say() { printf '%s\n' "$*"; printf '%s\n' "$*" >> "$summary"; }
# step NAME FILE COMMAND...: runs it, keeps what it says in FILE, and goes on.
step() {
    local name=$1 file=$2 began=$SECONDS code
    shift 2
    echo "== $name: $*"
    "$@" 2>&1 | tee "$out/$file"
    code=${PIPESTATUS[0]}
    if [ "$code" = 0 ]; then
        say "- $name: ok, $((SECONDS - began)) s ($file)"
    else
        failed=$((failed + 1))
        say "- $name: FAILED with code $code, $((SECONDS - began)) s ($file)"
        printf '  %s\n' "$(tail -n 1 "$out/$file" | cut -c1-300)" >> "$summary"
    fi
    return "$code"
}
skip() { say "- $1: not run: $2"; }

say "# RawDiffusion on $(hostname), $(date -u '+%Y-%m-%d %H:%M UTC')"
say ""
if command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader > "$out/nvidia-smi.txt" 2>&1; then
    say "GPU: $(head -n 1 "$out/nvidia-smi.txt")"
else
    say "GPU: nvidia-smi finds none"
fi
say "program: $("$program" --version 2>&1 | head -n 1)"
say ""

step doctor doctor.txt "$program" doctor

# A small operation tells whether there is a GPU at all; without one the rest would say the same again and again.
if step "a first operation on the GPU" first.txt "$program" verify --device cuda --operation softmax; then
    for precision in fp32 tf32 bf16; do
        # Tensor cores know tf32 from compute capability 8.0 on; doctor lists the real device before the emulated one.
        if [ "$precision" = tf32 ] && grep -m 1 "compute capability" "$out/doctor.txt" | grep -q "capability.* 7\."; then
            skip "verify in tf32" "the device has no tensor cores for it"
            continue
        fi
        step "verify in $precision" "verify-$precision.txt" "$program" verify --device cuda --precision "$precision"
    done
    step bench bench.txt "$program" bench --device cuda --seconds "$seconds" --out "$out/bench"

    if command -v compute-sanitizer > /dev/null; then
        for tool in memcheck racecheck synccheck initcheck; do
            # The small shapes of the table, every rung that the backend takes by itself; rungs by force would take hours under racecheck.
            step "compute-sanitizer $tool" "sanitizer-$tool.txt" compute-sanitizer --tool "$tool" --error-exitcode 99 --print-limit 20 \
                "$program" verify --device cuda --operation softmax --operation groupNorm --operation "matmul" --operation "scaledDotProductAttention"
        done
    else
        skip "compute-sanitizer" "there is none in the path (package cuda-sanitizer of the CUDA toolkit)"
    fi

    if [ "$peers" = no ]; then
        skip "peers" "--no-peers"
    elif ! command -v python3 > /dev/null; then
        skip "peers" "there is no python3"
    elif ! python3 -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else 1)' > "$out/torch.txt" 2>&1; then
        skip "peers" "python3 has no PyTorch that sees a GPU (torch.txt)"
    elif [ ! -f "$here/../peers/torch_gpu.py" ]; then
        skip "peers" "there is no $here/../peers/torch_gpu.py: copy the whole folder benchmarks/"
    else
        step "peers: PyTorch in turn with ours" peers.txt python3 "$here/../peers/torch_gpu.py" --rawdiffusion "$program" --out "$out/peers"
    fi
else
    skip "verify, bench, compute-sanitizer and peers" "the GPU cannot be used; first.txt says why"
fi

say ""
if [ "$failed" = 0 ]; then say "All went well: $out"; else say "$failed FAILED: $out"; fi
[ "$failed" = 0 ]
