"""The computations that are compared on a GPU, in PyTorch: every one in several lanes, ways in which it might be run.

A lane is "eager NCHW" and "eager channels_last" (one of the two, "eager", where there is no image), "compile default" and
"compile max-autotune" (torch.compile of the forward pass or the network), and "CUDA graph" (the whole call captured by hand and replayed).
The precision is that of the whole computation: fp32 (no TF32 anywhere), tf32, or bf16: operations on bfloat16 tensors, training by
autocast with float32 weights, sampling with bfloat16 weights.
"""
import contextlib
import math

import torch
import torch.nn.functional as F

from torch_mlp import MlpDenoiser
from torch_unet import CONFIGS, SIZES, UNet, attend

NCHW, CHANNELS_LAST = torch.contiguous_format, torch.channels_last
STEPS = 1000


class Unavailable(Exception):
    """A lane that this PyTorch or this device does not have."""


def set_precision(precision):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "fp32"
    torch.backends.cudnn.benchmark = True


def forget_compiled():
    """Drops what torch.compile made for the lanes of a case, and its memory. Between two lanes it would make the first be compiled again while it is timed."""
    if hasattr(torch, "_dynamo"):
        torch._dynamo.reset()


def dtype_of(precision):
    return torch.bfloat16 if precision == "bf16" else torch.float32


def compiled(function, mode):
    if not hasattr(torch, "compile"):
        raise Unavailable(f"PyTorch {torch.__version__} has no torch.compile")
    return torch.compile(function, mode=mode)


def captured(step, device):
    """The step as a CUDA graph; run thrice before, so that everything that is made once has been made."""
    if device != "cuda":
        raise Unavailable("there is no CUDA device")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def lanes_of(build, device, images, autotune):
    """Lane to a function that makes it. build(layout, wrap) makes the step; wrap is put around what can be compiled."""
    plain = lambda function: function
    best = CHANNELS_LAST if images else NCHW
    lanes = {"eager NCHW": lambda: build(NCHW, plain), "eager channels_last": lambda: build(CHANNELS_LAST, plain)} if images else {
        "eager": lambda: build(NCHW, plain)}
    lanes["compile default"] = lambda: build(best, lambda function: compiled(function, "default"))
    if autotune:
        lanes["compile max-autotune"] = lambda: build(best, lambda function: compiled(function, "max-autotune"))
    lanes["CUDA graph"] = lambda: captured(build(best, plain), device)
    return lanes


# Operations ------------------------------------------------------------------------------------------------------------------

def matmul(device, precision, autotune, m, n, k):
    def build(layout, wrap):
        a, b = (torch.randn(shape, device=device, dtype=dtype_of(precision)) for shape in ((m, k), (k, n)))
        multiply = wrap(lambda a, b: a @ b)
        return lambda: multiply(a, b)
    return lanes_of(build, device, False, autotune)


def with_gradients(forward, inputs, gradient):
    """Forward and backward pass, without adding to gradients of an earlier one."""
    def step():
        torch.autograd.grad(forward(*inputs), inputs, gradient)
    return step


def conv(device, precision, autotune, batch, size, inputs, outputs, kernel, stride):
    """Forward, and the gradients of images and weights."""
    def build(layout, wrap):
        new = lambda *shape: torch.randn(shape, device=device, dtype=dtype_of(precision)).to(memory_format=layout)
        x, w = new(batch, inputs, size, size).requires_grad_(), new(outputs, inputs, kernel, kernel).requires_grad_()
        forward = wrap(lambda x, w: F.conv2d(x, w, stride=stride, padding=kernel // 2))
        out = (size + 2 * (kernel // 2) - kernel) // stride + 1
        return with_gradients(forward, (x, w), new(batch, outputs, out, out))
    return lanes_of(build, device, True, autotune)


def group_norm_silu(device, precision, autotune, batch, size, channels, groups):
    """Forward, and the gradients of images, scale and shift."""
    def build(layout, wrap):
        new = lambda *shape: torch.randn(shape, device=device, dtype=dtype_of(precision))
        x = new(batch, channels, size, size).to(memory_format=layout).requires_grad_()
        w, b = new(channels).requires_grad_(), new(channels).requires_grad_()
        forward = wrap(lambda x, w, b: F.silu(F.group_norm(x, groups, w, b)))
        return with_gradients(forward, (x, w, b), new(batch, channels, size, size).to(memory_format=layout))
    return lanes_of(build, device, True, autotune)


def attention(device, precision, autotune, batch, heads, queries, keys, dim):
    """Forward, and the gradients of queries, keys and values."""
    def build(layout, wrap):
        new = lambda length: torch.randn(batch, heads, length, dim, device=device, dtype=dtype_of(precision)).requires_grad_()
        return with_gradients(wrap(attend), (new(queries), new(keys), new(keys)), new(queries).detach())
    return lanes_of(build, device, False, autotune)


def optimizer(device, precision, autotune, network):
    """Norm of all gradients, clipping, AdamW and moving average, on the parameters of a network."""
    def build(fused):
        parameters = [p for p in UNet(CONFIGS[network]).to(device).parameters() if p.requires_grad]
        for p in parameters:
            p.grad = torch.randn_like(p)
        return Update(parameters, fused, device).step
    lanes = {"eager foreach": lambda: build(False), "eager fused": lambda: build(True)}
    lanes["CUDA graph"] = lambda: captured(build(True), device)
    return lanes


class Update:
    """What follows a backward pass."""

    def __init__(self, parameters, fused, device):
        if fused and device != "cuda":
            raise Unavailable("the fused AdamW is for a GPU")
        self.parameters = parameters
        self.average = [p.detach().clone() for p in parameters]
        kinds = {"fused": True} if fused else {"foreach": True}
        self.adamw = torch.optim.AdamW(parameters, 1e-4, capturable=device == "cuda", **kinds)

    def step(self):
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.adamw.step()
        with torch.no_grad():
            torch._foreach_mul_(self.average, 0.999)
            torch._foreach_add_(self.average, self.parameters, alpha=0.001)


# Networks --------------------------------------------------------------------------------------------------------------------

def alpha_bar(device="cpu"):
    """DDPM's linear schedule of betas from 1e-4 to 0.02, as products of 1 - beta up to each step."""
    return torch.cumprod(1 - torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64), 0).float().to(device)


def images(network, batch, device, layout):
    channels, size = CONFIGS[network].get("in_channels", 3), SIZES[network]
    return torch.randn(batch, channels, size, size, device=device).to(memory_format=layout)


def unet_step(device, precision, autotune, network, batch):
    """Noise, network, mean squared error, backward pass, clipping, AdamW, moving average: ours in PeerModels.TrainingStep."""
    def build(layout, wrap):
        torch.manual_seed(0)
        model = UNet(CONFIGS[network]).to(device).to(memory_format=layout)
        update = Update(list(model.parameters()), device == "cuda", device)
        forward = wrap(model)
        bars = alpha_bar(device)
        alpha, sigma = bars.sqrt()[:, None, None, None], (1 - bars).sqrt()[:, None, None, None]
        x0 = images(network, batch, device, layout)
        cast = torch.autocast(device, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()

        def step():
            i = torch.randint(STEPS, (batch,), device=device)
            eps = torch.randn_like(x0)
            update.adamw.zero_grad(set_to_none=True)
            with cast:
                loss = F.mse_loss(forward(alpha[i] * x0 + sigma[i] * eps, i).float(), eps)
            loss.backward()
            update.step()
        return step
    return lanes_of(build, device, True, autotune)


def toy_step(device, precision, autotune, batch):
    """A step of the 2-D model: fresh data of eight Gaussians, noise, three layers of 128, clipped AdamW, moving average."""
    def build(layout, wrap):
        torch.manual_seed(0)
        model = MlpDenoiser().to(device)
        update = Update(list(model.parameters()), device == "cuda", device)
        forward = wrap(model)
        angles = torch.arange(8, device=device) * (2 * math.pi / 8)
        modes = 2 * torch.stack([torch.cos(angles), torch.sin(angles)], 1)
        bars = alpha_bar(device)
        alpha, sigma = bars.sqrt()[:, None], (1 - bars).sqrt()[:, None]

        def step():
            x0 = modes[torch.randint(8, (batch,), device=device)] + 0.1 * torch.randn(batch, 2, device=device)
            i = torch.randint(STEPS, (batch,), device=device)
            eps = torch.randn_like(x0)
            update.adamw.zero_grad(set_to_none=True)
            F.mse_loss(forward(alpha[i] * x0 + sigma[i] * eps, i.float()), eps).backward()
            update.step()
        return step
    return lanes_of(build, device, False, autotune)


def unet_sample(device, precision, autotune, network, count, steps):
    """DDIM with eta 0 from noise to images. In the lane "CUDA graph" the network's forward pass is the graph."""
    def build(layout, wrap):
        torch.manual_seed(0)
        model = UNet(CONFIGS[network]).to(device).to(memory_format=layout).eval()
        if precision == "bf16":
            model.bfloat16()
        forward = wrap(model)
        bars = alpha_bar().double()
        times = torch.linspace(STEPS - 1, 0, steps).round().long()
        on_device = [t.expand(count).to(device) for t in times]

        @torch.no_grad()
        def run():
            x = images(network, count, device, layout)
            for k, t in enumerate(times):
                bar, to = bars[t].item(), bars[times[k + 1]].item() if k + 1 < steps else 1.0
                eps = forward(x.to(dtype_of(precision)), on_device[k]).float()
                x0 = (x - math.sqrt(1 - bar) * eps) / math.sqrt(bar)
                x = math.sqrt(to) * x0 + math.sqrt(1 - to) * eps
        return run

    def replayed(model):
        x, t = images(network, count, device, CHANNELS_LAST).to(dtype_of(precision)), torch.zeros(count, dtype=torch.long, device=device)
        result = {}

        @torch.no_grad()
        def call():
            result["y"] = model(x, t)
        replay = captured(call, device)

        def forward(given, at):
            x.copy_(given)
            t.copy_(at)
            replay()
            return result["y"]
        return forward

    lanes = lanes_of(build, device, True, autotune)
    lanes["CUDA graph"] = lambda: build(CHANNELS_LAST, replayed)
    return lanes


MAKERS = {
    "matmul": matmul, "conv": conv, "group_norm_silu": group_norm_silu, "attention": attention, "optimizer": optimizer,
    "toy_step": toy_step, "unet_step": unet_step, "unet_sample": unet_sample,
}
