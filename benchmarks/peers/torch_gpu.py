"""Compares RawDiffusion with PyTorch on a GPU: both in turn, round after round, in every precision that both have.

Usage: torch_gpu.py --rawdiffusion PATH --out FOLDER [--device cuda|cpu] [--precisions fp32,tf32,bf16] [--rounds N] [--seconds S]
                    [--only TEXT] [--tiny] [--autotune-operations]

PATH is the published binary, or RawDiffusion.Cli's dll. Writes FOLDER/peers.md and FOLDER/peers.json, after every case: what is there
stays there. --tiny takes sizes that a CPU manages, to see that the script works. max-autotune tunes for minutes, so operations have that
lane only when asked.

How it is timed: calls are made in runs of about 20 ms, after which the device is waited for; a call's time is that of a run divided by its
calls, so that launches overlap with the device's work as they do in use. Medians of a round, then of the rounds. Ratio = the fastest
PyTorch lane / our fastest lane: above 1 we are faster.
"""
import argparse
import datetime
import gc
import json
import os
import statistics
import subprocess
import sys
import time

try:
    import torch
except ImportError:
    sys.exit("torch_gpu.py: PyTorch is not installed for this Python (pip install torch)")

from torch_gpu_cases import MAKERS, Unavailable, forget_compiled, set_precision
from torch_unet import CONFIGS, PARAMETERS, UNet

SECONDS_PER_RUN = 0.02
PRODUCTS = ("fp32", "tf32", "bf16")
OTHERS = ("fp32", "bf16")


def bench(*operations):
    return {"op": "operations", "operations": list(operations)}


def cases(tiny):
    """(name, precisions, our request, PyTorch's maker, its arguments)."""
    for m, n, k in ((96, 64, 32),) if tiny else ((1024,) * 3, (2048,) * 3, (4096,) * 3, (100352, 64, 64)):
        yield f"matmul {m} x {n} x {k}", PRODUCTS, {**bench("matmul"), "shape": f"{m}x{n}x{k}"}, "matmul", dict(m=m, n=n, k=k)
    shapes = ((2, 8, 8, 8, 3, 1), (2, 8, 8, 16, 3, 2)) if tiny else (
        (128, 28, 32, 32, 3, 1), (128, 14, 64, 64, 3, 1), (128, 7, 64, 64, 3, 1), (128, 28, 1, 32, 3, 1),
        (128, 32, 128, 128, 3, 1), (128, 16, 256, 256, 3, 1), (128, 8, 256, 256, 3, 1), (128, 16, 256, 256, 1, 1))
    for batch, size, inputs, outputs, kernel, stride in shapes:
        shape = f"{batch}x{size}x{size}x{inputs}to{outputs}k{kernel}s{stride}"
        yield (f"conv {kernel}x{kernel}{f' stride {stride}' if stride > 1 else ''} forward + both gradients, {batch}x{size}x{size}, {inputs} -> {outputs}",
               PRODUCTS, {**bench("conv2d", "conv2dGradInput", "conv2dGradWeight"), "shape": shape}, "conv",
               dict(batch=batch, size=size, inputs=inputs, outputs=outputs, kernel=kernel, stride=stride))
    shapes = ((2, 8, 8, 4),) if tiny else ((128, 28, 32, 8), (128, 14, 64, 8), (128, 32, 128, 32), (128, 16, 256, 32), (128, 8, 256, 32))
    for batch, size, channels, groups in shapes:
        yield (f"group norm + SiLU forward + backward, {batch}x{size}x{size}, C {channels}, {groups} groups",
               OTHERS, {**bench("groupNormSilu", "groupNormSiluGrad"), "shape": f"{batch}x{size * size}x{channels}g{groups}"},
               "group_norm_silu", dict(batch=batch, size=size, channels=channels, groups=groups))
    shapes = ((1, 2, 16, 16, 16),) if tiny else ((128, 8, 49, 49, 8), (128, 1, 256, 256, 256), (128, 4, 256, 256, 64), (16, 8, 1024, 1024, 64), (8, 8, 1024, 77, 64))
    for batch, heads, queries, keys, dim in shapes:
        yield (f"attention forward + backward, batch {batch}, {heads} heads of {dim}, {queries} x {keys}",
               PRODUCTS, {**bench("attention", "attentionGrad"), "shape": f"{batch}x{heads}x{queries}by{keys}x{dim}"},
               "attention", dict(batch=batch, heads=heads, queries=queries, keys=keys, dim=dim))
    for network in ("mnist",) if tiny else ("mnist", "cifar"):
        yield (f"clip + AdamW + average, {PARAMETERS[network]:,} parameters", ("fp32",),
               {**bench("adamwClipEma"), "shape": str(PARAMETERS[network])}, "optimizer", dict(network=network))
    batch = 8 if tiny else 512
    yield f"2-D MLP training step, 3x128, batch {batch}", ("fp32",), {"op": "toy_step", "batch": batch, "atOnce": 200}, "toy_step", dict(batch=batch)
    for network in ("mnist",) if tiny else ("mnist", "cifar"):
        batch = 2 if tiny else 128
        yield (f"UNet training step, {network}, {PARAMETERS[network]:,} parameters, batch {batch}", PRODUCTS,
               {"op": "unet_step", "network": network, "batch": batch}, "unet_step", dict(network=network, batch=batch))
    for network in ("mnist",) if tiny else ("mnist", "cifar"):
        for count in (1,) if tiny else (1, 16):
            steps = 3 if tiny else 50
            yield (f"DDIM-{steps}, {network}, {count} image{'s' if count > 1 else ''}", PRODUCTS,
                   {"op": "unet_sample", "network": network, "count": count, "steps": steps}, "unet_sample", dict(network=network, count=count, steps=steps))


class Ours:
    """RawDiffusion in a process of its own, which answers timing requests."""

    def __init__(self, path, device):
        self.command = [*(["dotnet", path] if path.endswith(".dll") else [path]), "peer", "--device", device]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = self.read()

    def restart(self):
        """After an error: what it held is free again, and a device that a fault has ended is a new one."""
        self.process.kill()
        self.process.wait()
        self.start()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"rawdiffusion ended with exit code {self.process.wait()}")
        return json.loads(line)

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Torch:
    """PyTorch's lanes of one case."""

    def __init__(self, device, maker, arguments, precision, autotune):
        self.device, self.steps, self.missing = device, {}, {}
        set_precision(precision)
        for lane, make in MAKERS[maker](device, precision, autotune, **arguments).items():
            try:
                step = make()
                for _ in range(3):
                    step()
                self.wait()
                self.steps[lane] = step
            except Unavailable as reason:
                self.missing[lane] = str(reason)
            except Exception as error:
                # A lane that fails, runs out of memory or has no compiler is the less; the others count.
                self.missing[lane] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            if lane in self.missing:
                # What it held would be missing to the lanes that follow.
                self.release()

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def run(self, step, calls):
        self.wait()
        start = time.perf_counter()
        for _ in range(calls):
            step()
        self.wait()
        return time.perf_counter() - start

    def measure(self, seconds):
        return {lane: self.median(step, seconds) for lane, step in self.steps.items()}

    def median(self, step, seconds):
        calls = int(min(1000, max(1, SECONDS_PER_RUN / self.run(step, 1)))) if self.device == "cuda" else 1
        times, start = [], time.perf_counter()
        while time.perf_counter() - start < seconds or len(times) < 3:
            times.append(self.run(step, calls) / calls)
        return statistics.median(times)

    def close(self):
        self.steps = {}
        forget_compiled()
        self.release()

    def release(self):
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()


def check_networks(ours, tiny):
    """Both sides must have the networks of the comparison."""
    for network, expected in PARAMETERS.items():
        if tiny and network != "mnist":
            # On the CPU of a small machine the larger one is not made.
            made = expected
        else:
            made = sum(p.numel() for p in UNet(CONFIGS[network]).parameters())
        own = ours.ask({"op": "parameters", "network": network})["parameters"]
        if not made == own == expected:
            sys.exit(f"torch_gpu.py: the network {network} must have {expected} parameters; PyTorch's has {made}, ours {own}")


def product(device):
    if device != "cuda":
        return f"PyTorch {torch.__version__} on the CPU"
    try:
        query = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True, check=True)
        driver = query.stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        driver = "unknown"
    return (f"{torch.cuda.get_device_name()}, driver {driver}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}, "
            f"cuDNN {torch.backends.cudnn.version()}")


def milliseconds(seconds):
    return f"{seconds * 1e3:.4g}"


def fastest(lanes):
    """The lane with the smallest median over the rounds, and that median."""
    lane = min(lanes, key=lambda each: statistics.median(lanes[each]))
    return lane, statistics.median(lanes[lane])


def compare(ours, torch_lanes, request, precision, options):
    """The rounds of one case: what either side's lanes took."""
    own, peer, error = {}, {}, None
    for _ in range(options.rounds):
        try:
            answer = ours.ask({**request, "precision": precision, "seconds": options.seconds})
        except (RuntimeError, OSError) as ended:
            answer = {"error": str(ended)}
        error = answer.get("error")
        if error:
            ours.restart()
            break
        for lane, seconds in answer.items():
            own.setdefault(lane, []).append(seconds)
        for lane, seconds in torch_lanes.measure(options.seconds).items():
            peer.setdefault(lane, []).append(seconds)
    return own, peer, error


def row_of(name, precision, own, peer, missing, error):
    row = {"case": name, "precision": precision, "ours": own, "torch": peer, "missing": missing, "error": error}
    if own and peer:
        (row["ours lane"], mine), (row["torch lane"], other) = fastest(own), fastest(peer)
        row["ratio"] = other / mine
        each = [b / a for a, b in zip(own[row["ours lane"]], peer[row["torch lane"]])]
        row["range"] = [min(each), max(each)]
    return row


def page(head, rows):
    names = sorted({lane for row in rows for lane in row["torch"]}, key=lambda lane: (not lane.startswith("eager"), lane))
    lines = [*head, "", "| case | precision | ours ms | our lane | " + " | ".join(f"{name} ms" for name in names) + " | ratio to the best | range |"]
    lines.append("|---" * (len(names) + 6) + "|")
    for row in rows:
        cells = [row["case"], row["precision"]]
        cells += [milliseconds(statistics.median(row["ours"][row["ours lane"]])), row["ours lane"]] if "ratio" in row else ["", row["error"] or "no lane of PyTorch ran"]
        cells += [milliseconds(statistics.median(row["torch"][name])) if name in row["torch"] else "" for name in names]
        cells += [f"{row['ratio']:.2f}", f"{row['range'][0]:.2f}-{row['range'][1]:.2f}"] if "ratio" in row else ["", ""]
        lines.append("| " + " | ".join(cells) + " |")
    reasons = {}
    for row in rows:
        for lane, reason in row["missing"].items():
            reasons.setdefault((lane, reason), []).append(f"{row['case']} in {row['precision']}")
    if reasons:
        lines += ["", "Lanes that did not run:", ""]
        for (lane, reason), where in reasons.items():
            lines.append(f"- {lane}, {len(where)} case{'s' if len(where) > 1 else ''} (first: {where[0]}): {reason}")
    return "\n".join(lines) + "\n"


def write(folder, head, rows):
    for name, text in (("peers.md", page(head, rows)), ("peers.json", json.dumps({"about": head, "rows": rows}, indent=1))):
        with open(os.path.join(folder, name + ".part"), "w") as out:
            out.write(text)
        os.replace(os.path.join(folder, name + ".part"), os.path.join(folder, name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rawdiffusion", required=True, metavar="PATH", help="the published binary, or RawDiffusion.Cli.dll")
    parser.add_argument("--out", required=True, metavar="FOLDER")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--precisions", default="fp32,tf32,bf16", help="only these of fp32, tf32 and bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.4, help="to measure each lane in each round")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--tiny", action="store_true", help="sizes for a CPU, to try the script")
    parser.add_argument("--autotune-operations", action="store_true", help="the lane compile max-autotune for operations too")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch_gpu.py: this PyTorch sees no CUDA device (--device cpu --tiny tries the script)")

    os.makedirs(options.out, exist_ok=True)
    ours = Ours(options.rawdiffusion, options.device)
    check_networks(ours, options.tiny)
    wanted = [p for p in options.precisions.split(",") if p in ours.about["precisions"] and (options.device == "cuda" or p == "fp32")]
    head = [
        f"{datetime.date.today()}. PyTorch: {product(options.device)}. RawDiffusion: {ours.about['product']}, {ours.about['runtime']}.",
        f"{options.rounds} alternating rounds of {options.seconds} s per lane; medians; ratio = PyTorch's fastest lane / our fastest lane (above 1: ours is "
        "faster), and its range over the rounds. PyTorch's bf16: bfloat16 tensors in operations, autocast in training, bfloat16 weights in sampling.",
    ]
    rows = []
    for name, precisions, request, maker, arguments in cases(options.tiny):
        for precision in precisions:
            if options.only not in name or precision not in wanted:
                continue
            autotune = maker.endswith(("_step", "_sample")) or options.autotune_operations
            lanes = Torch(options.device, maker, arguments, precision, autotune)
            row = row_of(name, precision, *compare_safely(ours, lanes, request, precision, options))
            lanes.close()
            rows.append(row)
            said = f"{row['ratio']:.2f} ({row['ours lane']} / {row['torch lane']})" if "ratio" in row else row["error"] or "no lane of PyTorch ran"
            print(f"{name}, {precision}: {said}", flush=True)
            write(options.out, head, rows)
    ours.close()
    if not rows:
        sys.exit("torch_gpu.py: no case was wanted")


def compare_safely(ours, lanes, request, precision, options):
    own, peer, error = compare(ours, lanes, request, precision, options)
    return own, peer, lanes.missing, error


if __name__ == "__main__":
    main()
