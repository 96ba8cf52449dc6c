"""The UNet of the comparison in plain PyTorch: the network, the parameter names and the arithmetic of diffusers' UNet2DModel.

Also the oracle of tests/golden/make_unet.py, so it knows more settings than the comparison needs. A configuration is the
dictionary that config.json holds.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = {"silu": F.silu, "swish": F.silu, "mish": F.mish, "gelu": F.gelu, "relu": F.relu}

# The reference network of the comparison: 1,623,169 parameters, images of 28 x 28 x 1.
REFERENCE = {
    "in_channels": 1, "out_channels": 1, "block_out_channels": [32, 64, 64], "layers_per_block": 2,
    "down_block_types": ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
    "attention_head_dim": 8, "norm_num_groups": 8,
}

# The network of DDPM for CIFAR-10 (Ho et al. 2020, appendix B), google/ddpm-cifar10-32: 35,746,307 parameters, images of 32 x 32 x 3.
CIFAR = {
    "block_out_channels": [128, 256, 256, 256], "layers_per_block": 2,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "attention_head_dim": None, "downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-6,
}

CONFIGS = {"mnist": REFERENCE, "cifar": CIFAR}
SIZES = {"mnist": 28, "cifar": 32}
PARAMETERS = {"mnist": 1_623_169, "cifar": 35_746_307}


class Resnet(nn.Module):
    """norm, activation, convolution, plus time, norm, activation, dropout, convolution, plus shortcut."""

    def __init__(self, config, inputs, outputs, time, scale=1.0, resample=None):
        super().__init__()
        groups, eps = config.get("norm_num_groups", 32), config.get("norm_eps", 1e-5)
        self.act = ACTIVATIONS[config.get("act_fn", "silu").lower()]
        self.scale_shift = config.get("resnet_time_scale_shift", "default") == "scale_shift"
        self.scale, self.resample = scale, resample
        self.norm1 = nn.GroupNorm(groups, inputs, eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(time, 2 * outputs if self.scale_shift else outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, eps)
        self.dropout = nn.Dropout(config.get("dropout", 0.0))
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x, time):
        h = self.act(self.norm1(x))
        if self.resample:
            x, h = self.resample(x), self.resample(h)
        h = self.conv1(h)
        t = self.time_emb_proj(self.act(time))[:, :, None, None]
        if self.scale_shift:
            scale, shift = t.chunk(2, 1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + t)
        h = self.conv2(self.dropout(self.act(h)))
        if self.conv_shortcut:
            x = self.conv_shortcut(x)
        return (x + h) / self.scale if self.scale != 1 else x + h


def attend(q, k, v):
    """softmax(q k^T / sqrt(d)) v; by PyTorch's fused kernels where it has them, from 2.0 on."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    return torch.softmax(q @ k.transpose(-1, -2) * (1 / math.sqrt(q.shape[-1])), -1) @ v


class Attention(nn.Module):
    """Self attention over the pixels of an image, added to it."""

    def __init__(self, config, channels, groups, scale=1.0):
        super().__init__()
        self.width = config.get("attention_head_dim", 8) or channels
        self.heads = channels // self.width
        inner = self.heads * self.width
        self.scale = scale
        self.group_norm = nn.GroupNorm(groups, channels, config.get("norm_eps", 1e-5)) if groups else None
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, inner) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(inner, channels)])

    def forward(self, x):
        n, c, height, width = x.shape
        h = self.group_norm(x) if self.group_norm else x
        h = h.flatten(2).transpose(1, 2)
        q, k, v = (f(h).view(n, -1, self.heads, self.width).transpose(1, 2) for f in (self.to_q, self.to_k, self.to_v))
        h = attend(q, k, v)
        h = self.to_out[0](h.transpose(1, 2).flatten(2)).transpose(1, 2).reshape(n, c, height, width)
        return (h + x) / self.scale if self.scale != 1 else h + x


class Downsample(nn.Module):
    def __init__(self, channels, padding):
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(self, x, time):
        return self.conv(x if self.padding else F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x, time):
        return self.conv(double(x))


def double(x):
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def halve(x):
    return F.avg_pool2d(x, 2)


def resamples_by_resnet(config, kind, direction):
    """Whether a block changes the size with a residual block instead of one convolution."""
    return kind.startswith("Resnet") or kind.startswith("Attn") and config.get(direction, "conv") == "resnet"


class DownBlock(nn.Module):
    def __init__(self, config, kind, inputs, outputs, time, last):
        super().__init__()
        layers, groups = config.get("layers_per_block", 2), config.get("norm_num_groups", 32)
        self.resnets = nn.ModuleList(Resnet(config, inputs if i == 0 else outputs, outputs, time) for i in range(layers))
        self.attentions = nn.ModuleList(Attention(config, outputs, groups) for _ in range(layers if kind.startswith("Attn") else 0))
        self.downsamplers = nn.ModuleList()
        if not last and resamples_by_resnet(config, kind, "downsample_type"):
            self.downsamplers.append(Resnet(config, outputs, outputs, time, resample=halve))
        elif not last:
            self.downsamplers.append(Downsample(outputs, config.get("downsample_padding", 1)))

    def forward(self, x, time, skips):
        for i, resnet in enumerate(self.resnets):
            x = resnet(x, time)
            if self.attentions:
                x = self.attentions[i](x)
            skips.append(x)
        for downsample in self.downsamplers:
            x = downsample(x, time)
            skips.append(x)
        return x


class MidBlock(nn.Module):
    def __init__(self, config, channels, time):
        super().__init__()
        scale, groups = config.get("mid_block_scale_factor", 1), config.get("attn_norm_num_groups")
        if groups is None and config.get("resnet_time_scale_shift", "default") == "default":
            groups = config.get("norm_num_groups", 32)
        self.resnets = nn.ModuleList(Resnet(config, channels, channels, time, scale) for _ in range(2))
        self.attentions = nn.ModuleList([Attention(config, channels, groups, scale)] if config.get("add_attention", True) else [])

    def forward(self, x, time):
        x = self.resnets[0](x, time)
        for attention in self.attentions:
            x = attention(x)
        return self.resnets[1](x, time)


class UpBlock(nn.Module):
    def __init__(self, config, kind, inputs, skip, outputs, time, last):
        super().__init__()
        layers, groups = config.get("layers_per_block", 2) + 1, config.get("norm_num_groups", 32)
        self.resnets = nn.ModuleList(
            Resnet(config, (inputs if i == 0 else outputs) + (skip if i == layers - 1 else outputs), outputs, time) for i in range(layers))
        self.attentions = nn.ModuleList(Attention(config, outputs, groups) for _ in range(layers if kind.startswith("Attn") else 0))
        self.upsamplers = nn.ModuleList()
        if not last and resamples_by_resnet(config, kind, "upsample_type"):
            self.upsamplers.append(Resnet(config, outputs, outputs, time, resample=double))
        elif not last:
            self.upsamplers.append(Upsample(outputs))

    def forward(self, x, time, skips):
        for i, resnet in enumerate(self.resnets):
            x = resnet(torch.cat([x, skips.pop()], 1), time)
            if self.attentions:
                x = self.attentions[i](x)
        for upsample in self.upsamplers:
            x = upsample(x, time)
        return x


class TimeEmbedding(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inputs, outputs), nn.Linear(outputs, outputs)

    def forward(self, x):
        return self.linear_2(F.silu(self.linear_1(x.to(self.linear_1.weight.dtype))))


class Fourier(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width) * 16, requires_grad=False)

    def forward(self, t):
        angles = torch.log(t)[:, None] * self.weight[None] * 2 * math.pi
        return torch.cat([torch.sin(angles), torch.cos(angles)], 1)


class Sinusoid(nn.Module):
    def __init__(self, width, flip, shift):
        super().__init__()
        half = width // 2
        self.flip, self.odd = flip, width % 2
        self.frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / (half - shift))

    def _apply(self, fn, *arguments):
        # They go where the network goes, but keep their precision.
        self.frequencies = self.frequencies.to(fn(torch.zeros(1)).device)
        return super()._apply(fn, *arguments)

    def forward(self, t):
        angles = t[:, None] * self.frequencies
        waves = [torch.sin(angles), torch.cos(angles)]
        return F.pad(torch.cat(waves[::-1] if self.flip else waves, 1), (0, self.odd))


class UNet(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        channels = config["block_out_channels"]
        time = config.get("time_embedding_dim") or 4 * channels[0]
        self.conv_in = nn.Conv2d(config.get("in_channels", 3), channels[0], 3, padding=1)
        kind = config.get("time_embedding_type", "positional")
        if kind == "fourier":
            self.time_proj = Fourier(channels[0])
        elif kind == "learned":
            self.time_proj = nn.Embedding(config["num_train_timesteps"], channels[0])
        else:
            self.time_proj = Sinusoid(channels[0], config.get("flip_sin_to_cos", True), config.get("freq_shift", 0))
        width = 2 * channels[0] if kind == "fourier" else channels[0]
        self.time_embedding = TimeEmbedding(width, time)
        self.class_embedding = None
        if config.get("class_embed_type") == "timestep":
            self.class_embedding = TimeEmbedding(width, time)
        elif config.get("class_embed_type") == "identity":
            self.class_embedding = nn.Identity()
        elif config.get("num_class_embeds") is not None:
            self.class_embedding = nn.Embedding(config["num_class_embeds"], time)
        last = len(channels) - 1
        self.down_blocks = nn.ModuleList(
            DownBlock(config, kind, channels[max(i - 1, 0)], channels[i], time, i == last) for i, kind in enumerate(config["down_block_types"]))
        self.mid_block = MidBlock(config, channels[-1], time) if config.get("mid_block_type", "UNetMidBlock2D") else None
        up = channels[::-1]
        self.up_blocks = nn.ModuleList(
            UpBlock(config, kind, up[max(i - 1, 0)], up[min(i + 1, last)], up[i], time, i == last) for i, kind in enumerate(config["up_block_types"]))
        self.conv_norm_out = nn.GroupNorm(config.get("norm_num_groups", 32), channels[0], config.get("norm_eps", 1e-5))
        self.conv_out = nn.Conv2d(channels[0], config.get("out_channels", 3), 3, padding=1)

    def forward(self, x, t, labels=None):
        if self.config.get("center_input_sample", False):
            x = 2 * x - 1
        time = self.time_embedding(self.time_proj(t))
        if self.class_embedding is not None:
            time = time + self.class_embedding(self.time_proj(labels) if self.config.get("class_embed_type") == "timestep" else labels)
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            x = block(x, time, skips)
        if self.mid_block:
            x = self.mid_block(x, time)
        for block in self.up_blocks:
            x = block(x, time, skips)
        x = self.conv_out(F.silu(self.conv_norm_out(x)))
        return x / t[:, None, None, None] if self.config.get("time_embedding_type") == "fourier" else x
