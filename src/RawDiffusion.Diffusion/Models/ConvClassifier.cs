using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// A small convolutional classifier of images x[N, 28, 28, channels] with values in [-1, 1]: four convolutions with group norm and
/// SiLU, two of them halving the image, the mean over what is left, a linear layer. 7.4 MFLOP per image of one channel.
/// </summary>
public sealed class ConvClassifier : Module
{
    /// <summary>Width of <see cref="Features"/>.</summary>
    public const int FeatureCount = 64;

    private const int Groups = 8;

    public ConvClassifier(Generator generator, Backend? device = null, int channels = 1, int classes = 10)
    {
        Conv1 = new Conv2d(channels, 16, 5, generator, stride: 2, padding: 2, device: device);
        Norm1 = new GroupNorm(Groups, 16, silu: true, device: device);
        Conv2 = new Conv2d(16, 32, 3, generator, padding: 1, device: device);
        Norm2 = new GroupNorm(Groups, 32, silu: true, device: device);
        Conv3 = new Conv2d(32, 64, 3, generator, stride: 2, padding: 1, device: device);
        Norm3 = new GroupNorm(Groups, 64, silu: true, device: device);
        Conv4 = new Conv2d(64, FeatureCount, 3, generator, padding: 1, device: device);
        Norm4 = new GroupNorm(Groups, FeatureCount, silu: true, device: device);
        Output = new Linear(FeatureCount, classes, generator, device: device);
    }

    public Conv2d Conv1 { get; }

    public GroupNorm Norm1 { get; }

    public Conv2d Conv2 { get; }

    public GroupNorm Norm2 { get; }

    public Conv2d Conv3 { get; }

    public GroupNorm Norm3 { get; }

    public Conv2d Conv4 { get; }

    public GroupNorm Norm4 { get; }

    public Linear Output { get; }

    /// <summary>What the last layer sees, [N, 64]: the features that distances between sets of images are measured in.</summary>
    public Tensor Features(Tensor x)
    {
        var h = Norm1.Forward(Conv1.Forward(x));
        h = Norm2.Forward(Conv2.Forward(h));
        h = Norm3.Forward(Conv3.Forward(h));
        h = Norm4.Forward(Conv4.Forward(h));
        return h.Mean([1, 2]);
    }

    /// <returns>Logits [N, classes].</returns>
    public Tensor Forward(Tensor x) => Output.Forward(Features(x));
}
