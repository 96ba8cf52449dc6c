using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>How a residual block changes the size of its image.</summary>
internal enum Resample
{
    None,

    /// <summary>Means over 2 x 2 pixels.</summary>
    Halve,

    /// <summary>Every pixel four times.</summary>
    Double,
}

/// <summary>
/// A residual block told the time: x[N, H, W, inChannels] and the activated embedding of the time [N, T] give
/// [N, H, W, outChannels] = (shortcut(x) + conv2(dropout(act(norm2(conv1(act(norm1(x))) + time))))) / scale. Where the time scales and
/// shifts, it does so after norm2. Where the block resamples, x and the input of conv1 are resampled.
/// </summary>
public sealed class ResnetBlock : Module
{
    private readonly UNet2DConfig _config;
    private readonly Resample _resample;
    private readonly double _scale;

    /// <param name="scale">What the sum of both ways is divided by.</param>
    internal ResnetBlock(int inChannels, int outChannels, BlockSettings settings, double scale = 1, Resample resample = Resample.None)
    {
        _config = settings.Config;
        _resample = resample;
        _scale = scale;
        bool silu = Activation.IsSilu(_config.ActFn);
        Norm1 = settings.Norm(inChannels, silu);
        Conv1 = settings.Conv(inChannels, outChannels, 3);
        TimeEmbProj = settings.Linear(_config.TimeChannels, _config.ScaleShift ? 2 * outChannels : outChannels);
        Norm2 = settings.Norm(outChannels, silu && !_config.ScaleShift);
        Dropout = new Dropout(_config.Dropout, settings.DropoutGenerator);
        Conv2 = settings.Conv(outChannels, outChannels, 3);
        ConvShortcut = inChannels == outChannels ? null : settings.Conv(inChannels, outChannels, 1);
    }

    public GroupNorm Norm1 { get; }

    public Conv2d Conv1 { get; }

    /// <summary>From the time to what is added to every channel, or to a scale and a shift for each.</summary>
    public Linear TimeEmbProj { get; }

    public GroupNorm Norm2 { get; }

    public Dropout Dropout { get; }

    public Conv2d Conv2 { get; }

    /// <summary>1 x 1, where the number of channels changes; otherwise null.</summary>
    public Conv2d? ConvShortcut { get; }

    /// <param name="time">The embedded time after the activation, [N, T].</param>
    public Tensor Forward(Tensor x, Tensor time) => Intermediates.Drop(() => Compute(x, time));

    private Tensor Compute(Tensor x, Tensor time)
    {
        var h = Activate(Norm1.Forward(x));
        if (_resample != Resample.None)
            (x, h) = (Resampled(x), Resampled(h));
        var t = TimeEmbProj.Forward(time);
        h = _config.ScaleShift
            ? ScaleAndShift(Norm2.Forward(Conv1.Forward(h)), t.Reshape(x.Shape[0], 1, 1, t.Shape[1]))
            : Activate(Norm2.Forward(Conv1.Forward(h, sampleBias: t)));
        var y = Conv2.Forward(Dropout.Forward(h), residual: ConvShortcut?.Forward(x) ?? x);
        return _scale == 1 ? y : y / _scale;
    }

    /// <summary>The activation, where the norm's kernel has not applied it already.</summary>
    private Tensor Activate(Tensor x) => Activation.IsSilu(_config.ActFn) ? x : Activation.Apply(_config.ActFn, x);

    private Tensor ScaleAndShift(Tensor x, Tensor t)
    {
        int channels = x.Shape[3];
        return Activation.Apply(_config.ActFn, x * (t.Slice(3, 0, channels) + 1) + t.Slice(3, channels, channels));
    }

    private Tensor Resampled(Tensor x) => _resample == Resample.Halve ? F.AvgPool2d(x, 2) : F.UpsampleNearest(x, 2);
}
