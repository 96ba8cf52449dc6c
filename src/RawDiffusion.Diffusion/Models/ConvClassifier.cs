using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// A small convolutional classifier: images [N, size, size, channels] with values in [-1, 1] -> logits [N, classes]. Three
/// convolutions with group norm and SiLU; a stride and two poolings leave an eighth of the image in each direction, which two linear
/// layers judge. 3 million floating-point operations for a digit.
/// </summary>
public sealed class ConvClassifier : Layer
{
    /// <summary>Width of <see cref="Features"/>.</summary>
    public const int FeatureCount = 64;

    // A statistic over few channels would erase how strongly they respond.
    private const int ChannelsPerGroup = 16;

    /// <param name="size">Height and width of the images, at least 8.</param>
    /// <param name="width">Channels of the first convolution, a multiple of 16; the others have twice as many.</param>
    /// <exception cref="ArgumentException">The size or the width is none of these.</exception>
    public ConvClassifier(
        Generator generator, Backend? device = null, int size = 28, int channels = 1, int classes = 10, int width = 16)
    {
        if (size < 8)
            throw new ArgumentException($"ConvClassifier: images must be at least 8 x 8, not {size} x {size}.");
        if (width < ChannelsPerGroup || width % ChannelsPerGroup != 0)
            throw new ArgumentException($"ConvClassifier: the width must be a multiple of {ChannelsPerGroup}, not {width}.");
        Conv1 = new Conv2d(channels, width, 5, generator, stride: 2, padding: 2, device: device);
        Norm1 = Norm(width, device);
        Conv2 = new Conv2d(width, 2 * width, 3, generator, padding: 1, device: device);
        Norm2 = Norm(2 * width, device);
        Conv3 = new Conv2d(2 * width, 2 * width, 3, generator, padding: 1, device: device);
        Norm3 = Norm(2 * width, device);
        int left = (size + 1) / 2 / 2 / 2;
        Hidden = new Linear(left * left * 2 * width, FeatureCount, generator, device: device);
        Output = new Linear(FeatureCount, classes, generator, device: device);
    }

    public Conv2d Conv1 { get; }

    public GroupNorm Norm1 { get; }

    public Conv2d Conv2 { get; }

    public GroupNorm Norm2 { get; }

    public Conv2d Conv3 { get; }

    public GroupNorm Norm3 { get; }

    public Linear Hidden { get; }

    public Linear Output { get; }

    public override Tensor Forward(Tensor x) => Output.Forward(Features(x));

    /// <summary>What the last layer sees, [N, 64]: the features that distances between sets of images are measured in.</summary>
    public Tensor Features(Tensor x) => FeaturesOf(FeatureMap(x));

    /// <summary>
    /// What the second convolution sees where, [N, size / 4, size / 4, 2 width]: features that have a place in the image, for the sFID.
    /// </summary>
    public Tensor FeatureMap(Tensor x) => F.AvgPool2d(Norm2.Forward(Conv2.Forward(Norm1.Forward(Conv1.Forward(x)))), 2);

    /// <summary><see cref="Features"/> of a <see cref="FeatureMap"/>.</summary>
    public Tensor FeaturesOf(Tensor map)
    {
        var h = F.AvgPool2d(Norm3.Forward(Conv3.Forward(map)), 2);
        return F.Silu(Hidden.Forward(h.Reshape([map.Shape[0], Hidden.Weight.Shape[1]])));
    }

    private static GroupNorm Norm(int channels, Backend? device) => new(channels / ChannelsPerGroup, channels, silu: true, device: device);
}
