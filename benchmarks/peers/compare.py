"""Compares RawDiffusion with PyTorch on this machine: both processes alive, asked in turn, round after round.

Usage: compare.py BENCHMARK_DLL [--threads N] [--rounds N] [--seconds S] [--only TEXT] [--out FILE]
Prints a markdown table: medians over the rounds, the ratio against PyTorch's fastest lane, and the range of that ratio. Cases
that are whole runs also say how much memory each side takes, in processes of their own that do nothing else.
"""
import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


# Size of the image, channels in and out, kernel, stride: the convolutions of the reference UNet.
UNET_LAYERS = (
    (28, 1, 32, 3, 1), (28, 32, 32, 3, 1), (28, 64, 32, 3, 1), (28, 96, 32, 3, 1), (28, 32, 1, 3, 1), (28, 32, 32, 3, 2), (28, 64, 64, 3, 1),
    (28, 64, 32, 1, 1), (28, 96, 32, 1, 1), (14, 32, 64, 3, 1), (14, 64, 64, 3, 1), (14, 96, 64, 3, 1), (14, 128, 64, 3, 1), (14, 64, 64, 3, 2),
    (14, 32, 64, 1, 1), (14, 128, 64, 1, 1), (7, 64, 64, 3, 1), (7, 128, 64, 3, 1), (7, 128, 64, 1, 1),
)


def cases():
    """(name, request, flops or None, the ratio aimed at or None)."""
    for n in (1024, 2048):
        yield f"GEMM {n}", {"op": "gemm", "n": n}, 2 * n**3, None
    for channels in (32, 64, 128):
        flops = 2 * 64 * 28 * 28 * 9 * channels * channels
        request = {"op": "conv", "batch": 64, "size": 28, "inputs": channels, "outputs": channels, "kernel": 3, "stride": 1}
        yield f"conv 3x3 forward, 64x28x28, C {channels}", {**request, "what": "y"}, flops, None
        yield f"conv 3x3 forward + both gradients, 64x28x28, C {channels}", {**request, "what": "all"}, 3 * flops, 1.2
    for size, inputs, outputs, kernel, stride in UNET_LAYERS:
        flops = 2 * 64 * (size // stride) ** 2 * kernel**2 * inputs * outputs
        request = {"op": "conv", "batch": 64, "size": size, "inputs": inputs, "outputs": outputs, "kernel": kernel, "stride": stride}
        name = f"UNet layer {kernel}x{kernel}{f' stride {stride}' if stride > 1 else ''} {inputs} -> {outputs}, 64x{size}x{size}: "
        yield name + "forward", {**request, "what": "y"}, flops, 1.2
        yield name + "gradient of input", {**request, "what": "gx"}, flops, 1.2
        yield name + "gradient of weight", {**request, "what": "gw"}, flops, 1.2
    for channels in (32, 64, 128):
        for silu in (False, True):
            name = f"group norm{' + SiLU' if silu else ''} forward + backward, 64x28x28, C {channels}, 32 groups"
            yield name, {"op": "group_norm", "batch": 64, "size": 28, "channels": channels, "groups": 32, "silu": silu}, None, 1.5
    shapes = ((64, 4, 49, 49, 32), (64, 4, 196, 196, 32), (64, 1, 196, 196, 64), (16, 4, 784, 784, 32), (16, 1, 784, 784, 128), (64, 4, 196, 16, 32))
    for batch, heads, queries, keys, dim in shapes:
        name = f"attention forward + backward, batch {batch}, {heads} heads of {dim}, {queries} x {keys}"
        request = {"op": "attention", "batch": batch, "heads": heads, "queries": queries, "keys": keys, "dim": dim}
        # Two products forward, five backward (the scores are computed again).
        yield name, request, 7 * 2 * batch * heads * queries * keys * dim, 1.5
    yield "2-D MLP training step, 3x128, batch 512", {"op": "mlp_step", "batch": 512}, None, 10
    yield "UNet training step, 1.6 M parameters, 28x28x1, batch 64", {"op": "unet_step", "batch": 64, "least": 2, "memory": True}, None, 2
    request = {"op": "unet_sample", "count": 64, "steps": 50, "warmups": 0, "least": 1, "memory": True}
    yield "UNet, 64 images of 28x28x1 with DDIM-50", request, None, 2


class Peer:
    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.about = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"a peer ended with exit code {self.process.wait()}")
        return json.loads(line)

    def ask(self, request, seconds=0):
        self.process.stdin.write(json.dumps({**request, "seconds": seconds}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def megabytes(start, request):
    """The most memory that a process of its own holds while it runs the case, in 10^6 bytes."""
    peer = start()
    peer.ask(request)
    answer = peer.ask({"op": "memory"})["bytes"] / 1e6
    peer.close()
    return answer


def cpu_name():
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("benchmark_dll")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--only", help="only cases whose name contains this")
    parser.add_argument("--out", help="also write the table to this file")
    options = parser.parse_args()

    threads = str(options.threads)
    environment = {**os.environ, "RAWDIFFUSION_THREADS": threads, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}

    def start_ours():
        return Peer(["dotnet", options.benchmark_dll, "peer"], environment)

    def start_torch():
        return Peer([sys.executable, os.path.join(HERE, "torch_cpu.py"), threads], environment)

    ours, torch = start_ours(), start_torch()
    peak = ours.ask({"op": "peak"})["gflops"]

    lines = []

    def emit(line):
        print(line, flush=True)
        lines.append(line)

    emit(f"{datetime.date.today()}, {cpu_name()}, {threads} threads, PyTorch {torch.about['version']}, {ours.about['runtime']}, {ours.about['vectorBits']}-bit vectors.")
    emit(f"FMA peak measured at the start: {peak:.0f} GFLOP/s. {options.rounds} alternating rounds of {options.seconds} s per side and lane; "
         "medians; ratio = PyTorch's fastest lane / ours, and its range over the rounds.")
    emit("")
    emit("| case | ours ms | PyTorch ms | lane | ratio | range | goal | ours GFLOP/s | % of peak | PyTorch GFLOP/s | ours MB | PyTorch MB |")
    emit("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name, request, flops, goal in cases():
        if options.only and options.only not in name:
            continue
        memory = request.pop("memory", False)
        own, peer = [], {}
        for _ in range(options.rounds):
            own.append(ours.ask(request, options.seconds)["ours"])
            for lane, seconds in torch.ask(request, options.seconds).items():
                peer.setdefault(lane, []).append(seconds)
        lane = min(peer, key=lambda key: statistics.median(peer[key]))
        mine, other = statistics.median(own), statistics.median(peer[lane])
        ratios = [b / a for a, b in zip(own, peer[lane])]
        rates = [f"{flops / mine / 1e9:.0f}", f"{100 * flops / mine / 1e9 / peak:.0f}", f"{flops / other / 1e9:.0f}"] if flops else ["", "", ""]
        held = [f"{megabytes(start_ours, request):.0f}", f"{megabytes(start_torch, {**request, 'lane': lane}):.0f}"] if memory else ["", ""]
        emit("| " + " | ".join([
            name, f"{mine * 1e3:.3f}", f"{other * 1e3:.3f}", lane, f"{other / mine:.2f}", f"{min(ratios):.2f}-{max(ratios):.2f}",
            str(goal or ""), *rates, *held]) + " |")
    ours.close()
    torch.close()
    if options.out:
        with open(options.out, "w") as out:
            out.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
