#!/usr/bin/env python3
"""Golden values from PyTorch in float64, so that the Reference device, the oracle of all others, has an oracle itself.

Run with any PyTorch from 1.13 on; it writes the *.json files beside itself:

    python3 tests/golden/make_golden.py

Inputs are multiples of 1/64, which float32 holds exactly. Images are written NHWC and convolution weights OHWI, the layouts of
this library. "gy" is the gradient that is sent backward; "g_x" the resulting gradient of "x".
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
GENERATOR = torch.Generator().manual_seed(20)
FOLDER = pathlib.Path(__file__).parent


def draw(*shape, scale=1.0):
    return (torch.randn(*shape, generator=GENERATOR) * scale * 64).round() / 64


def leaf(*shape, scale=1.0):
    return draw(*shape, scale=scale).requires_grad_()


def to_nhwc(t):
    """NCHW to NHWC for images, OIHW to OHWI for weights."""
    return t.permute(0, 2, 3, 1)


def entry(t):
    t = t.detach()
    return {"shape": list(t.shape), "values": t.reshape(-1).tolist()}


def case(name, y, inputs, gy=None, layout=lambda t: t, constants=None, **options):
    """Runs the backward pass and collects inputs, output and gradients. layout is applied to everything of rank 4."""
    gy = draw(*y.shape) if gy is None else gy
    gradients = torch.autograd.grad(y, list(inputs.values()), gy)
    arrange = lambda t: layout(t) if t.dim() == 4 else t
    tensors = {key: entry(arrange(t)) for key, t in inputs.items()}
    tensors.update({key: entry(t) for key, t in (constants or {}).items()})
    tensors["y"] = entry(arrange(y))
    tensors["gy"] = entry(arrange(gy))
    tensors.update({"g_" + key: entry(arrange(g)) for key, g in zip(inputs, gradients)})
    return {"name": name, "options": options, "tensors": tensors}


def conv2d():
    cases = []
    for name, x, w, bias, stride, padding, groups in [
        ("3x3, padding 1", (2, 3, 5, 6), (4, 3, 3, 3), True, 1, 1, 1),
        ("3x3, stride 2, padding 1", (1, 2, 7, 6), (3, 2, 3, 3), True, 2, 1, 1),
        ("3x3, 2 groups, no bias", (1, 4, 4, 5), (6, 2, 3, 3), False, 1, 1, 2),
        ("depthwise 5x5, padding 2", (1, 3, 5, 5), (3, 1, 5, 5), True, 1, 2, 3),
        ("1x1", (2, 5, 3, 2), (4, 5, 1, 1), True, 1, 0, 1),
        ("2x2, stride 2", (1, 2, 5, 7), (3, 2, 2, 2), False, 2, 0, 1),
    ]:
        inputs = {"x": leaf(*x), "w": leaf(*w, scale=0.5)}
        if bias:
            inputs["b"] = leaf(w[0])
        y = F.conv2d(inputs["x"], inputs["w"], inputs.get("b"), stride, padding, 1, groups)
        cases.append(case(name, y, inputs, layout=to_nhwc, stride=stride, padding=padding, groups=groups))
    return cases


def group_norm():
    cases = []
    for name, shape, groups, silu in [
        ("2 groups", (2, 4, 3, 5), 2, False),
        ("2 groups, silu", (2, 4, 3, 5), 2, True),
        ("1 group, silu", (1, 3, 4, 3), 1, True),
        ("instance norm", (2, 3, 2, 4), 3, False),
    ]:
        inputs = {"x": leaf(*shape, scale=2), "weight": leaf(shape[1]), "bias": leaf(shape[1])}
        y = F.group_norm(inputs["x"], groups, inputs["weight"], inputs["bias"], 1e-5)
        cases.append(case(name, F.silu(y) if silu else y, inputs, layout=to_nhwc, groups=groups, silu=silu))
    return cases


def layer_norm():
    cases = []
    for shape in [(5, 7), (2, 3, 16), (4, 1)]:
        inputs = {"x": leaf(*shape, scale=2), "weight": leaf(shape[-1]), "bias": leaf(shape[-1])}
        y = F.layer_norm(inputs["x"], shape[-1:], inputs["weight"], inputs["bias"], 1e-5)
        cases.append(case(str(list(shape)), y, inputs))
    return cases


def attention():
    """softmax(q k^T / sqrt(d)) v from plain operations; q[batch, length, heads, dim]."""
    cases = []
    for name, batch, queries, keys, heads, dim in [
        ("self, 2 heads", 2, 5, 5, 2, 4),
        ("cross, 3 heads", 1, 4, 7, 3, 5),
        ("one head, one key", 1, 3, 1, 1, 2),
    ]:
        inputs = {
            "q": leaf(batch, queries, heads, dim),
            "k": leaf(batch, keys, heads, dim),
            "v": leaf(batch, keys, heads, dim),
        }
        q, k, v = (t.transpose(1, 2) for t in inputs.values())
        y = (torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(dim), -1) @ v).transpose(1, 2)
        cases.append(case(name, y, inputs))
    return cases


def softmax():
    cases = []
    for name, f in [("softmax", torch.softmax), ("logSoftmax", torch.log_softmax)]:
        inputs = {"x": leaf(4, 9, scale=3)}
        cases.append(case(name, f(inputs["x"], -1), inputs))
    return cases


def cross_entropy():
    inputs = {"x": leaf(6, 10, scale=2)}
    labels = torch.randint(10, (6,), generator=GENERATOR)
    y = F.cross_entropy(inputs["x"], labels)
    return [case("mean of 6 rows", y, inputs, gy=torch.ones(()), constants={"labels": labels})]


def linear():
    cases = []
    for shape, bias in [((3, 5), True), ((2, 3, 4), False)]:
        inputs = {"x": leaf(*shape), "w": leaf(6, shape[-1])}
        if bias:
            inputs["b"] = leaf(6)
        cases.append(case(str(list(shape)), F.linear(inputs["x"], inputs["w"], inputs.get("b")), inputs))
    return cases


def optimizers():
    """Six steps with given gradients; y holds the parameter after every step."""
    settings = [
        ("AdamW", torch.optim.AdamW, dict(lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0)),
        ("AdamW", torch.optim.AdamW, dict(lr=0.01, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.1)),
        ("Adam", torch.optim.Adam, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-8, weight_decay=0.05)),
        ("SGD", torch.optim.SGD, dict(lr=0.1, momentum=0.0, weight_decay=0.0, nesterov=False)),
        ("SGD", torch.optim.SGD, dict(lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=False)),
        ("SGD", torch.optim.SGD, dict(lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)),
    ]
    cases = []
    for name, make, options in settings:
        parameter = leaf(5)
        start, gradients, after = parameter.detach().clone(), draw(6, 5), []
        optimizer = make([parameter], **options)
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
            after.append(parameter.detach().clone())
        options = dict(options)
        options["beta1"], options["beta2"] = options.pop("betas", (0, 0))
        tensors = {"x": entry(start), "gradients": entry(gradients), "y": entry(torch.stack(after))}
        cases.append({"name": f"{name}, weight decay {options['weight_decay']}", "options": {"kind": name, **options}, "tensors": tensors})
    return cases


def ema():
    """average = d average + (1 - d) value, d = min(decay, (1 + n) / (10 + n)) with warm-up; starts as the first value."""
    cases = []
    for warmup in (False, True):
        values, decay = draw(8, 4), 0.75
        average, after = values[0].clone(), []
        for n, value in enumerate(values[1:]):
            d = min(decay, (1 + n) / (10 + n)) if warmup else decay
            average = d * average + (1 - d) * value
            after.append(average)
        tensors = {"x": entry(values), "y": entry(torch.stack(after))}
        cases.append({"name": "with warm-up" if warmup else "plain", "options": {"decay": decay, "warmup": warmup}, "tensors": tensors})
    return cases


def main():
    for make in (conv2d, group_norm, layer_norm, attention, softmax, cross_entropy, linear, optimizers, ema):
        content = {"source": f"PyTorch {torch.__version__}, float64, make_golden.py", "cases": make()}
        (FOLDER / f"{make.__name__}.json").write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
