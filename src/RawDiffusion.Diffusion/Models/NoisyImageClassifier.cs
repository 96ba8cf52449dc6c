using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// A convolutional classifier that knows how noisy its images are: x_t[N, size, size, channels] and times[N] -> logits [N, classes]. Built
/// like <see cref="ConvClassifier"/>; the embedded time is added before each group norm, as in a UNet's residual blocks. Its gradient
/// leads samplers to a class (Dhariwal and Nichol 2021, section 4).
/// </summary>
public sealed class NoisyImageClassifier : Module
{
    private const int TimeFeatures = 32, TimeChannels = 64, HiddenWidth = 64, ChannelsPerGroup = 16;

    /// <param name="size">Height and width of the images, at least 8.</param>
    /// <param name="width">Channels of the first convolution, a multiple of 16; the others have twice as many.</param>
    /// <exception cref="ArgumentException">The size or the width is none of these.</exception>
    public NoisyImageClassifier(
        Generator generator, Backend? device = null, int size = 28, int channels = 1, int classes = 10, int width = 32)
    {
        if (size < 8)
            throw new ArgumentException($"NoisyImageClassifier: images must be at least 8 x 8, not {size} x {size}.");
        if (width < ChannelsPerGroup || width % ChannelsPerGroup != 0)
            throw new ArgumentException($"NoisyImageClassifier: the width must be a multiple of {ChannelsPerGroup}, not {width}.");
        Time = new Linear(TimeFeatures, TimeChannels, generator, device: device);
        int[] widths = [width, 2 * width, 2 * width];
        TimeProj = [.. widths.Select(to => new Linear(TimeChannels, to, generator, device: device))];
        Conv1 = new Conv2d(channels, width, 5, generator, stride: 2, padding: 2, device: device);
        Conv2 = new Conv2d(width, 2 * width, 3, generator, padding: 1, device: device);
        Conv3 = new Conv2d(2 * width, 2 * width, 3, generator, padding: 1, device: device);
        Norms = [.. widths.Select(of => new GroupNorm(of / ChannelsPerGroup, of, silu: true, device: device))];
        int left = (size + 1) / 2 / 2 / 2;
        Hidden = new Linear(left * left * 2 * width, HiddenWidth, generator, device: device);
        Output = new Linear(HiddenWidth, classes, generator, device: device);
    }

    public Linear Time { get; }

    /// <summary>From the embedded time to what is added to the channels of each convolution.</summary>
    public Linear[] TimeProj { get; }

    public Conv2d Conv1 { get; }

    public Conv2d Conv2 { get; }

    public Conv2d Conv3 { get; }

    public GroupNorm[] Norms { get; }

    public Linear Hidden { get; }

    public Linear Output { get; }

    /// <param name="x">[N, size, size, channels].</param>
    /// <param name="times">[N]; see <see cref="Processes.ForwardProcess.NetworkTime"/>.</param>
    /// <returns>Logits [N, classes].</returns>
    public Tensor Forward(Tensor x, Tensor times)
    {
        var time = F.Silu(Time.Forward(F.TimeEmbedding(times, TimeFeatures).To(x.DType)));
        var h = Norms[0].Forward(Conv1.Forward(x, sampleBias: TimeProj[0].Forward(time)));
        h = F.AvgPool2d(Norms[1].Forward(Conv2.Forward(h, sampleBias: TimeProj[1].Forward(time))), 2);
        h = F.AvgPool2d(Norms[2].Forward(Conv3.Forward(h, sampleBias: TimeProj[2].Forward(time))), 2);
        return Output.Forward(F.Silu(Hidden.Forward(h.Reshape(x.Shape[0], Hidden.Weight.Shape[1]))));
    }
}
