using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>A change of size between two levels of a <see cref="UNet2D"/>; one that is a residual block looks at the time.</summary>
public abstract class Resampler : Module
{
    /// <param name="time">The embedded time after the activation, [N, T].</param>
    public abstract Tensor Forward(Tensor x, Tensor time);
}

/// <summary>Halves an image by a 3 x 3 convolution of stride 2: [N, H, W, C] -> [N, H / 2, W / 2, C].</summary>
public sealed class Downsample : Resampler
{
    internal Downsample(int channels, BlockSettings settings)
    {
        var options = settings.Config.DownsamplePadding == 1
            ? new Conv2dOptions { Stride = 2, Padding = 1 }
            : new Conv2dOptions { Stride = 2, PadBottom = 1, PadRight = 1 };
        Conv = new Conv2d(channels, channels, 3, settings.Generator, options, device: settings.Device);
    }

    public Conv2d Conv { get; }

    public override Tensor Forward(Tensor x, Tensor time) => Conv.Forward(x);
}

/// <summary>Doubles an image by repeating pixels, then a 3 x 3 convolution: [N, H, W, C] -> [N, 2 H, 2 W, C].</summary>
public sealed class Upsample : Resampler
{
    internal Upsample(int channels, BlockSettings settings) => Conv = settings.Conv(channels, channels, 3);

    public Conv2d Conv { get; }

    public override Tensor Forward(Tensor x, Tensor time) => Conv.Forward(F.UpsampleNearest(x, 2));
}

/// <summary>Changes the size within a residual block. Its parameters stand where those of a convolution would.</summary>
public sealed class ResnetResampler : Resampler
{
    internal ResnetResampler(int channels, BlockSettings settings, Resample resample) =>
        Resnet = new ResnetBlock(channels, channels, settings, resample: resample);

    [Name("")]
    public ResnetBlock Resnet { get; }

    public override Tensor Forward(Tensor x, Tensor time) => Resnet.Forward(x, time);
}
