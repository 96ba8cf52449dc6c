"""A training step of the reference UNet, and sampling with it, in PyTorch."""
import torch
import torch.nn.functional as F

from torch_unet import REFERENCE, UNet

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
STEPS, SIZE = 1000, 28


def alpha_bar():
    """DDPM's linear schedule of betas from 1e-4 to 0.02, as products of 1 - beta up to each step."""
    return torch.cumprod(1 - torch.linspace(1e-4, 0.02, STEPS), 0)


def network(layout):
    torch.manual_seed(0)
    return UNet(REFERENCE).to(memory_format=LAYOUTS[layout])


def step(batch, layout):
    """Noise, network, mean squared error, backward pass, AdamW: what ours does in Trainer.RunStep."""
    model = network(layout)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, foreach=True)
    alpha, sigma = alpha_bar().sqrt(), (1 - alpha_bar()).sqrt()
    x0 = torch.randn(batch, 1, SIZE, SIZE).to(memory_format=LAYOUTS[layout])

    def run():
        i = torch.randint(STEPS, (batch,))
        eps = torch.randn_like(x0)
        xt = alpha[i][:, None, None, None] * x0 + sigma[i][:, None, None, None] * eps
        optimizer.zero_grad(set_to_none=True)
        F.mse_loss(model(xt, i), eps).backward()
        optimizer.step()
    return run


def sample(count, steps, layout):
    """DDIM with eta 0 from noise to images."""
    model = network(layout).eval()
    bars = alpha_bar()
    times = torch.linspace(STEPS - 1, 0, steps).round().long()

    @torch.inference_mode()
    def run():
        x = torch.randn(count, 1, SIZE, SIZE).to(memory_format=LAYOUTS[layout])
        for k, t in enumerate(times):
            eps = model(x, t.expand(count))
            x0 = (x - (1 - bars[t]).sqrt() * eps) / bars[t].sqrt()
            to = bars[times[k + 1]] if k + 1 < steps else torch.ones(())
            x = to.sqrt() * x0 + (1 - to).sqrt() * eps
    return run


def unet_step(batch, lane=None):
    return {name: step(batch, name) for name in LAYOUTS if lane in (None, name)}


def unet_sample(count, steps, lane=None):
    return {name: sample(count, steps, name) for name in LAYOUTS if lane in (None, name)}
