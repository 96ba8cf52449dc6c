"""The training step of the preset eight-gaussians in PyTorch: data, noise, network, clipped AdamW, moving average."""
import math

import torch
import torch.nn.functional as F

STEPS, TIME_WIDTH, WIDTH = 1000, 32, 128


class MlpDenoiser(torch.nn.Module):
    """Three hidden layers of 128 with SiLU, an embedding of t added in each: RawDiffusion.Diffusion's MlpDenoiser."""

    def __init__(self):
        super().__init__()
        sizes = [2, WIDTH, WIDTH, WIDTH]
        self.time = torch.nn.Linear(TIME_WIDTH, WIDTH)
        self.hidden = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.output = torch.nn.Linear(WIDTH, 2)
        half = TIME_WIDTH // 2
        self.register_buffer("frequencies", 0.1 * torch.exp(-math.log(1000) * torch.arange(half) / half))

    def forward(self, x, t):
        angles = t[:, None] * self.frequencies
        time = self.time(torch.cat([torch.sin(angles), torch.cos(angles)], 1))
        h = x
        for layer in self.hidden:
            h = F.silu(layer(h) + time)
        return self.output(h)


def lane(batch, foreach):
    model = MlpDenoiser()
    parameters = list(model.parameters())
    average = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, 1e-3, foreach=foreach)
    angles = torch.arange(8) * (2 * math.pi / 8)
    modes = 2 * torch.stack([torch.cos(angles), torch.sin(angles)], 1)
    t = torch.arange(1, STEPS + 1) / STEPS
    log_alpha = -0.5 * (0.1 * t + 0.5 * t * t * 19.9)
    alpha = torch.exp(log_alpha)[:, None]
    sigma = torch.sqrt(1 - torch.exp(2 * log_alpha))[:, None]

    def step():
        x0 = modes[torch.randint(8, (batch,))] + 0.1 * torch.randn(batch, 2)
        i = torch.randint(STEPS, (batch,))
        eps = torch.randn_like(x0)
        xt = alpha[i] * x0 + sigma[i] * eps
        loss = F.mse_loss(model(xt, i.float()), eps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        with torch.no_grad():
            if foreach:
                torch._foreach_mul_(average, 0.999)
                torch._foreach_add_(average, parameters, alpha=0.001)
            else:
                for a, p in zip(average, parameters):
                    a.lerp_(p, 0.001)
    return step


def mlp_step(batch):
    return {"eager": lane(batch, False), "foreach": lane(batch, True)}
