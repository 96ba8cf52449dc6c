#!/usr/bin/env bash
# Measures everything on a machine with a GPU and collects it in one folder, from the published program alone: no .NET, no sources.
#
#   dotnet publish src/RawDiffusion.Cli -p:PublishProfile=linux-x64      # here, once: artifacts/linux-x64/rawdiffusion
#   benchmarks/gpu/run.sh [--program FILE] [--out FOLDER] [--only PART,...] [--skip PART,...] [--limit S] [--step-limit S] [--seconds S]
#
# Parts, in this order: doctor verify train bench sanitizer peers tests. Where only some minutes may be spent at a time, call it again and
# again with the same --out and --limit: what has ended is not repeated, what the limit cut off is. --limit: seconds for this call.
# --step-limit: seconds after which a step has failed (480). --seconds: how long each row of the bench is repeated (0.25).
#
# Copy the program and the folder benchmarks/ to the machine, or call it from a clone. Needed there: the driver and NVRTC (libnvrtc.so and
# its builtins); used where they are found: cuBLAS, compute-sanitizer, python3 with PyTorch for CUDA (peers), .NET's SDK in a clone (tests).
# No failure stops what comes after it. The summary has a line for every step; its last line and the exit code say how it went: 0 all is
# well, 1 something failed, 2 wrong use, 3 the limit came first: call it again.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
parts="doctor verify train bench sanitizer peers tests"
program="" out="" seconds=0.25 limit="" step_limit=480 only=${parts// /,} skip=""
usage() { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; }
wrong() { echo "run.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case "$1" in
        --program | --out | --seconds | --only | --skip | --limit | --step-limit)
            [ $# -ge 2 ] || usage
            name=${1#--}
            declare "${name//-/_}=$2"
            shift 2 ;;
        *) usage ;;
    esac
done
for part in ${only//,/ } ${skip//,/ }; do
    [[ " $parts " = *" $part "* ]] || wrong "there is no part '$part'; there are: $parts"
done
for number in "$step_limit" ${limit:+"$limit"}; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || wrong "a limit is a whole number of seconds, not '$number'"
done
# A step that a call of its own could not end would be cut off in every call.
[ -z "$limit" ] || [ "$step_limit" -lt "$limit" ] || step_limit=$limit
if [ -z "$program" ]; then
    for candidate in "$here/rawdiffusion" "$here/../../artifacts/linux-x64/rawdiffusion"; do
        [ -x "$candidate" ] && program=$candidate && break
    done
fi
[ -n "$program" ] && [ -x "$program" ] || wrong "there is no program${program:+ $program}; publish it (see the head of this script), or name it with --program"
program=$(realpath "$program")
out=${out:-gpu-results-$(date -u +%Y%m%d-%H%M%S)}
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
state=$out/steps.tsv
[ -z "$(ls -A "$out")" ] || [ -f "$state" ] || wrong "$out is not empty and not of this script"
touch "$state" || exit 2

# Every step is a process of its own: without a cache of compiled kernels each would compile them again.
if [ -z "${RAWDIFFUSION_CACHE:-}" ] && [ ! -w "${XDG_CACHE_HOME:-${HOME:-/nonexistent}}" ]; then
    RAWDIFFUSION_CACHE=$(mktemp -d)
    export RAWDIFFUSION_CACHE
fi
cut=0 begun=0 running=""
trap '[ -z "$running" ] || kill "$running" 2> /dev/null; exit 130' INT TERM
# entry NAME: the code (a number, "-" for what was not run) under which a step has ended, in this call or an earlier one.
entry() { awk -F '\t' -v name="$1" '$1 == name { code = $2 } END { print code }' "$state"; }
note() { printf '%s\t%s\t%s\t%s\n' "$@" >> "$state"; }
left() { if [ -n "$limit" ]; then echo $((limit - SECONDS)); else echo 1000000; fi; }

# step NAME FILE COMMAND...: runs it unless it has ended before, keeps what it says in FILE, and goes on. Its code is the result.
step() {
    local name=$1 file=$2 began=$SECONDS code most=$step_limit
    shift 2
    code=$(entry "$name")
    [ -n "$code" ] && return "$code"
    # The first one of a call has its whole time, so that every call comes on.
    [ "$begun" = 0 ] || [ "$(left)" -ge "$most" ] || most=$(left)
    if [ "$most" -lt 1 ]; then cut=$((cut + 1)); return 1; fi
    begun=$((begun + 1))
    mkdir -p "$out/$(dirname "$file")"
    echo "== $name: $*"
    # Not through a pipe: what a step leaves running would keep that open, and this script with it.
    timeout --kill-after=10 "$most" "$@" > "$out/$file" 2>&1 < /dev/null &
    running=$!
    tail -n +1 -f --pid="$running" -s 0.2 "$out/$file"
    wait "$running"
    code=$?
    running=""
    if [ "$code" = 124 ] || [ "$code" = 137 ]; then
        if [ "$most" -lt "$step_limit" ]; then
            echo "== $name: cut off after $((SECONDS - began)) s"
            cut=$((cut + 1))
            return 1
        fi
        echo "run.sh: ended after the limit of $most s for a step" >> "$out/$file"
    fi
    note "$name" "$code" "$((SECONDS - began))" "$file"
    return "$code"
}
skip() { [ -n "$(entry "$1")" ] || note "$1" - 0 "$2"; }
wanted() { [[ ",$only," = *",$1,"* ]] && [[ ",$skip," != *",$1,"* ]]; }
# The names that a command lists when it is asked for one that it does not have.
names() { timeout 60 "$program" "$@" 2>&1 < /dev/null | sed -n 's/.*there are: //p' | head -n 1 | tr -d ','; }
# fresh NAME FOLDER: takes away what a step left that was cut off.
fresh() { [ -n "$(entry "$1")" ] || rm -rf "${out:?}/$2"; }
found() {
    local candidate
    for candidate in "$@"; do
        candidate=$(command -v "$candidate" 2> /dev/null) && echo "$candidate" && return
    done
    return 1
}

if [ ! -f "$out/machine.md" ]; then
    {
        echo "# RawDiffusion on $(hostname), $(date -u '+%Y-%m-%d %H:%M UTC')"
        echo
        if gpu=$(timeout 30 nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader 2>&1); then
            echo "GPU: $(head -n 1 <<< "$gpu")"
        else
            echo "GPU: nvidia-smi finds none"
        fi
        echo "program: $(timeout 60 "$program" --version 2>&1 < /dev/null | head -n 1)"
        echo
    } > "$out/machine.md"
fi
[ -f "$out/nvidia-smi.txt" ] || timeout 30 nvidia-smi -q > "$out/nvidia-smi.txt" 2>&1

wanted doctor && step doctor doctor.txt "$program" doctor

# A small operation tells whether there is a GPU at all; without one the rest would say the same again and again.
if step "a first operation on the GPU" first.txt "$program" verify --device cuda --operation softmax; then
    precisions="fp32 tf32 bf16"
    # Tensor cores know tf32 from compute capability 8.0 on.
    case "$(timeout 30 nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1)" in
        [5-7].*) precisions="fp32 bf16"; skip "tf32" "the device has no tensor cores for it" ;;
    esac
    if wanted verify; then
        for precision in $precisions; do
            step "verify in $precision" "verify-$precision.txt" "$program" verify --device cuda --precision "$precision"
            # A fault or a hang ends the device for the process that met it: each operation in one of its own tells what the others do.
            if [ -n "$(entry "verify in $precision")" ] && grep -q -e " is lost after " -e "^run.sh: ended after" "$out/verify-$precision.txt"; then
                for operation in $(names verify --operation 'no such operation'); do
                    step "verify $operation in $precision" "verify-$precision/$operation.txt" \
                        "$program" verify --device cuda --precision "$precision" --operation "$operation"
                done
            fi
        done
    fi

    if wanted train; then
        # Whole steps as graphs, the network in one kernel, sampling from a recorded network; the losses can be compared with the CPU's.
        for device in cuda cpu; do
            fresh "train eight-gaussians on $device" "runs/gaussians-$device"
            step "train eight-gaussians on $device" "train-gaussians-$device.txt" \
                "$program" train eight-gaussians --device "$device" --out "$out/runs/gaussians-$device"
        done
        for precision in $precisions; do
            fresh "train digits in $precision" "runs/digits-$precision"
            step "train digits in $precision" "train-digits-$precision.txt" \
                "$program" train digits --device cuda --precision "$precision" --steps 300 --out "$out/runs/digits-$precision"
        done
    fi

    if wanted bench; then
        # An operation in each process: one that faults or hangs takes no other with it, and what is measured is kept.
        operations=$(names bench 'no such operation')
        [ -n "$operations" ] || step bench bench.txt "$program" bench --device cuda --seconds "$seconds" --out "$out/bench"
        for operation in $operations; do
            step "bench $operation" "bench/$operation.txt" "$program" bench "$operation" --device cuda --seconds "$seconds" --out "$out/bench/$operation"
        done
    fi

    if wanted sanitizer; then
        if sanitizer=$(found compute-sanitizer "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer" \
            /usr/local/cuda*/bin/compute-sanitizer /usr/local/cuda*/compute-sanitizer/compute-sanitizer); then
            for tool in memcheck synccheck initcheck racecheck; do
                # The small shapes of the table, every rung that the backend takes by itself; rungs by force would take hours under racecheck.
                for operation in softmax groupNorm matmul scaledDotProductAttention; do
                    step "compute-sanitizer $tool, $operation" "sanitizer/$tool-$operation.txt" "$sanitizer" --tool "$tool" --error-exitcode 99 \
                        --print-limit 20 "$program" verify --device cuda --operation "$operation"
                done
            done
        else
            skip "compute-sanitizer" "there is none in the path or below /usr/local/cuda (package cuda-sanitizer of the CUDA toolkit)"
        fi
    fi

    if wanted peers; then
        peer=$here/../peers/torch_gpu.py
        if ! command -v python3 > /dev/null; then
            skip "peers" "there is no python3"
        elif [ ! -f "$peer" ]; then
            skip "peers" "there is no $peer: copy the whole folder benchmarks/"
        elif ! timeout 120 python3 -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "torch sees no GPU")' > "$out/torch.txt" 2>&1; then
            skip "peers" "python3 has no PyTorch that sees a GPU: $(tail -n 1 "$out/torch.txt" | cut -c1-200)"
        else
            # Each kind of case by itself; the table is written after every case, so that a limit loses only those that were not reached.
            for kind in matmul conv "group norm" attention AdamW MLP "UNet training" DDIM; do
                step "peers: PyTorch in turn with ours, $kind" "peers/${kind// /-}.txt" \
                    python3 "$peer" --rawdiffusion "$program" --only "$kind" --out "$out/peers/${kind// /-}"
            done
        fi
    fi

    if wanted tests; then
        root=$(realpath "$here/../..")
        if [ -f "$root/RawDiffusion.sln" ] && command -v dotnet > /dev/null; then
            step "tests of the driver, built" tests-build.txt dotnet build "$root/tests/RawDiffusion.Tests" -c Release --nologo -v q &&
                step "tests of the driver" tests.txt dotnet test "$root/tests/RawDiffusion.Tests" -c Release --no-build --nologo \
                    --logger "console;verbosity=normal" --filter "FullyQualifiedName~NativeDriverContractTests|FullyQualifiedName~DeviceTests"
        else
            skip "tests of the driver" "they need a clone of the repository and .NET's SDK"
        fi
    fi
elif [ -n "$(entry "a first operation on the GPU")" ]; then
    skip "all the rest" "the GPU cannot be used; first.txt says why"
fi

failed=0
{
    cat "$out/machine.md"
    while IFS=$'\t' read -r name code took file; do
        case "$code" in
            0) echo "- $name: ok, $took s ($file)" ;;
            -) echo "- $name: not run: $file" ;;
            *)
                failed=$((failed + 1))
                echo "- $name: FAILED with code $code, $took s ($file)"
                echo "  $(grep -v '^[[:space:]]*$' "$out/$file" | tail -n 1 | cut -c1-300)" ;;
        esac
    done < "$state"
    echo
    if [ "$cut" -gt 0 ]; then
        echo "NOT FINISHED, $failed FAILED so far: call it again with --out $out"
    elif [ "$failed" = 0 ]; then
        echo "All went well: $out"
    else
        echo "$failed FAILED: $out"
    fi
} > "$out/summary.md"
cat "$out/summary.md"
[ "$cut" = 0 ] || exit 3
[ "$failed" = 0 ]
