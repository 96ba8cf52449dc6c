"""The PyTorch side of the comparison: answers timing requests on standard input.

A request is a line of JSON, {"op": ..., parameters, "seconds": how long to measure}; the answer is a line with the median
seconds per call of every lane. Lanes are ways an ordinary user might run the same computation; the fastest one counts.
"warmups" and "least" are the numbers of calls before the clock starts and on the clock at least. {"op": "memory"} asks for the
most memory that this process has held.
"""
import json
import math
import sys
import time

import torch
import torch.nn.functional as F

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def timed(step, seconds, warmups, least):
    """Median seconds per call: warm-up calls, then calls until the time is used, at least so many."""
    for _ in range(warmups):
        step()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < least:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    times.sort()
    return times[len(times) // 2]


def gemm(n):
    a, b = torch.randn(n, n), torch.randn(n, n)
    return {"eager": lambda: a @ b}


def conv(batch, size, inputs, outputs, kernel, stride, what):
    """Of a convolution with same padding: y, gx or gw alone, or all three through autograd."""
    padding = kernel // 2

    def lane(layout):
        x = torch.randn(batch, inputs, size, size).to(memory_format=layout)
        w = (torch.randn(outputs, inputs, kernel, kernel) * 0.1).to(memory_format=layout)
        g = torch.randn(F.conv2d(x, w, stride=stride, padding=padding).shape).to(memory_format=layout)

        def every():
            x.requires_grad_().grad = w.requires_grad_().grad = None
            F.conv2d(x, w, stride=stride, padding=padding).backward(g)

        def gradient(mask):
            torch.ops.aten.convolution_backward(g, x, w, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, mask)

        return {
            "y": lambda: F.conv2d(x, w, stride=stride, padding=padding),
            "gx": lambda: gradient([True, False, False]),
            "gw": lambda: gradient([False, True, False]),
            "all": every,
        }[what]
    return {name: lane(layout) for name, layout in LAYOUTS.items()}


def group_norm(batch, size, channels, groups, silu):
    def lane(layout):
        x = torch.randn(batch, channels, size, size).to(memory_format=layout).requires_grad_()
        w, b = torch.ones(channels, requires_grad=True), torch.zeros(channels, requires_grad=True)
        g = torch.randn(batch, channels, size, size).to(memory_format=layout)

        def step():
            x.grad = w.grad = b.grad = None
            y = F.group_norm(x, groups, w, b)
            (F.silu(y) if silu else y).backward(g)
        return step
    return {name: lane(layout) for name, layout in LAYOUTS.items()}


def attention(batch, heads, queries, keys, dim):
    q = torch.randn(batch, heads, queries, dim, requires_grad=True)
    k = torch.randn(batch, heads, keys, dim, requires_grad=True)
    v = torch.randn(batch, heads, keys, dim, requires_grad=True)
    g = torch.randn(batch, heads, queries, dim)
    scale = 1 / math.sqrt(dim)

    def step():
        q.grad = k.grad = v.grad = None
        (torch.softmax(q @ k.transpose(-1, -2) * scale, -1) @ v).backward(g)
    return {"eager": step}


def peak_memory():
    """Bytes: the high-water mark of what this process had in memory."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


OPERATIONS = {"gemm": gemm, "conv": conv, "group_norm": group_norm, "attention": attention}


def main():
    from torch_mlp import mlp_step
    from torch_unet_cases import unet_sample, unet_step
    OPERATIONS.update(mlp_step=mlp_step, unet_step=unet_step, unet_sample=unet_sample)
    torch.manual_seed(0)
    torch.set_num_threads(int(sys.argv[1]))
    print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    cached_key, lanes = None, {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "memory":
            print(json.dumps({"bytes": peak_memory()}), flush=True)
            continue
        seconds, warmups, least = request.pop("seconds"), request.pop("warmups", 2), request.pop("least", 3)
        key = json.dumps(request)
        if key != cached_key:
            cached_key, lanes = key, OPERATIONS[request.pop("op")](**request)
        print(json.dumps({name: timed(step, seconds, warmups, least) for name, step in lanes.items()}), flush=True)


if __name__ == "__main__":
    main()
