using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>What all parts of a <see cref="UNet2D"/> are made with.</summary>
/// <param name="Generator">Draws the initial values.</param>
/// <param name="DropoutGenerator">Draws the masks of dropout.</param>
internal sealed record BlockSettings(UNet2DConfig Config, Generator Generator, Generator DropoutGenerator, Backend? Device)
{
    /// <summary>A convolution that keeps the size of the image.</summary>
    public Conv2d Conv(int inChannels, int outChannels, int kernelSize) =>
        new(inChannels, outChannels, kernelSize, Generator, padding: kernelSize / 2, device: Device);

    public Linear Linear(int inFeatures, int outFeatures) => new(inFeatures, outFeatures, Generator, device: Device);

    /// <summary>A group norm, with the network's activation after it where that is part of the norm's kernel.</summary>
    public GroupNorm Norm(int channels, bool silu = false, int? groups = null) =>
        new(groups ?? Config.NormNumGroups, channels, Config.NormEps, silu, Device);
}
