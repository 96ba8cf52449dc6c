#!/usr/bin/env python3
"""Golden UNets for settings that the folders made with diffusers (unet2d, unet2d-google) leave out.

Run with any PyTorch from 1.13 on; it writes the folders beside itself:

    python3 tests/golden/make_unet.py

The network is benchmarks/peers/torch_unet.py, written from the description of diffusers' UNet2DModel; it reproduces unet2d and
unet2d-google (checked here first). Weights are float32; what is computed from them is computed in float64, but for the Fourier
features of a time, whose large angles make the rounding of float32 part of the definition.
"""

import json
import pathlib
import struct
import sys

import numpy
import torch

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent.parent / "benchmarks" / "peers"))
import torch_unet  # noqa: E402

TYPES = {"F32": numpy.float32, "I32": numpy.int32}

SETTINGS = {
    # Residual blocks that resample, a time that scales and shifts, labels, a head that does not divide the channels.
    "unet2d-scale-shift": {
        "in_channels": 2, "out_channels": 3, "block_out_channels": [8, 12, 16], "layers_per_block": 1, "norm_num_groups": 4,
        "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"],
        "downsample_type": "resnet", "upsample_type": "resnet", "resnet_time_scale_shift": "scale_shift",
        "attention_head_dim": 5, "num_class_embeds": 7, "mid_block_scale_factor": 1.4142135, "act_fn": "swish", "time_embedding_dim": 20,
    },
    # Another activation, labels embedded as times are, a middle attention with groups of its own, images in [0, 1], a padding of 0.
    "unet2d-mish": {
        "in_channels": 1, "out_channels": 1, "block_out_channels": [6, 12], "layers_per_block": 2, "norm_num_groups": 3,
        "down_block_types": ["AttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "AttnUpBlock2D"],
        "act_fn": "mish", "class_embed_type": "timestep", "attn_norm_num_groups": 6, "attention_head_dim": 4, "norm_eps": 1e-3,
        "center_input_sample": True, "downsample_padding": 0, "resnet_time_scale_shift": "scale_shift", "flip_sin_to_cos": False,
        "freq_shift": 1,
    },
    # Fourier features, vectors for labels, no middle block, resampling asked for that plain blocks do not do.
    "unet2d-fourier": {
        "in_channels": 1, "out_channels": 2, "block_out_channels": [8, 8], "layers_per_block": 1, "norm_num_groups": 2,
        "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"], "act_fn": "gelu",
        "time_embedding_type": "fourier", "class_embed_type": "identity", "mid_block_type": None, "downsample_type": "resnet",
        "upsample_type": "resnet",
    },
    # One level, a table of times, no attention in the middle.
    "unet2d-learned": {
        "in_channels": 3, "out_channels": 1, "block_out_channels": [8], "layers_per_block": 1, "norm_num_groups": 2,
        "down_block_types": ["AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D"], "act_fn": "relu", "attention_head_dim": None,
        "time_embedding_type": "learned", "num_train_timesteps": 30, "add_attention": False, "mid_block_scale_factor": 2,
    },
}


def read(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        values = numpy.frombuffer(data[slice(*entry["data_offsets"])], TYPES[entry["dtype"]])
        tensors[name] = torch.from_numpy(values.reshape(entry["shape"]).copy())
    return tensors


def write(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        whole = tensor.dtype in (torch.int32, torch.int64)
        values = tensor.detach().numpy().astype(numpy.int32 if whole else numpy.float32)
        header[name] = {"dtype": "I32" if whole else "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def run(model, x, t, target, labels):
    """Output, loss and every gradient by the names of the golden files."""
    x.requires_grad_()
    y = model(x, t, labels)
    loss = torch.nn.functional.mse_loss(y, target)
    loss.backward()
    gradients = {"grad." + name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    return {"output_nchw": y, "loss": loss.reshape(1), "grad.x_nchw": x.grad, **gradients}


def check(name):
    """The network agrees with diffusers itself."""
    folder = FOLDER / name
    model = torch_unet.UNet(json.loads((folder / "config.json").read_text()))
    model.load_state_dict(read(folder / "diffusion_pytorch_model.safetensors"))
    io = read(folder / "io.safetensors")
    for key, value in run(model, io["x_nchw"], io["t"], io["target_nchw"], None).items():
        if not key.endswith("to_k.bias"):
            error = (value - io[key]).abs().max() / io[key].abs().max()
            assert error < 1e-5, f"{name}: {key} differs by {error}"


def make(name, config):
    torch.manual_seed(len(name))
    model = torch_unet.UNet(config)
    with torch.no_grad():
        for p in model.parameters():
            # Nothing is zero or one that could hide a mistake. Fourier frequencies keep their size.
            p.copy_(p * 1.5 + 0.1 * torch.randn(p.shape) if p.requires_grad else p)
    state = {key: value.detach().clone() for key, value in model.state_dict().items()}
    kind = config.get("time_embedding_type", "positional")
    n, size = 3, 4 << (len(config["block_out_channels"]) - 1)
    x = torch.randn(n, config["in_channels"], size, size + size // 2)
    target = torch.randn(n, config["out_channels"], size, size + size // 2)
    t = {"fourier": torch.tensor([0.25, 0.5, 2.0]), "learned": torch.tensor([0, 29, 7])}.get(kind, torch.tensor([3, 998, 512]))
    labels = None
    if config.get("class_embed_type") == "identity":
        labels = torch.randn(n, config.get("time_embedding_dim") or 4 * config["block_out_channels"][0])
    elif config.get("class_embed_type") == "timestep" or config.get("num_class_embeds"):
        labels = torch.tensor([6, 0, 3])
    io = {"x_nchw": x.clone(), "t": t, "target_nchw": target, **({} if labels is None else {"labels": labels})}
    if kind != "fourier":
        model, x, target = model.double(), x.double(), target.double()
    io.update(run(model, x, t, target, labels))
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    text = {"_class_name": "UNet2DModel", "_diffusers_version": "0.40.0", **config}
    (folder / "config.json").write_text(json.dumps(text, indent=2, sort_keys=True) + "\n")
    write(folder / "diffusion_pytorch_model.safetensors", state)
    write(folder / "io.safetensors", io)
    print(f"{name}: {sum(p.numel() for p in model.parameters()):,} parameters")


def main():
    for name in ("unet2d", "unet2d-google"):
        check(name)
    for name, config in SETTINGS.items():
        make(name, config)


if __name__ == "__main__":
    main()
