using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Gan;

/// <summary>x above 0, a fifth of it below: what discriminators are usually made of, since it passes derivatives everywhere.</summary>
public sealed class LeakyReLU(double negativeSlope = 0.2) : Layer
{
    public override Tensor Forward(Tensor x) => F.LeakyRelu(x, negativeSlope);
}

/// <summary>A multi-layer perceptron [n, inputs] -> [n, outputs], either network of a GAN of points.</summary>
public sealed class GanMlp : Layer
{
    public GanMlp(Generator generator, int inputs, int outputs, int width = 128, int layers = 3, Backend? device = null)
    {
        var chain = new List<Layer>();
        for (int i = 0; i < layers; i++)
            chain.AddRange([new Linear(i == 0 ? inputs : width, width, generator, device: device), new LeakyReLU()]);
        Body = new Sequential([.. chain, new Linear(layers == 0 ? inputs : width, outputs, generator, device: device)]);
    }

    public Sequential Body { get; }

    public override Tensor Forward(Tensor x) => Body.Forward(x);
}

/// <summary>
/// Latents [n, latents] -> images [n, 28, 28, 1] in [-1, 1]: 7 x 7 pixels of many channels, doubled twice, a convolution after each.
/// </summary>
public sealed class ImageGenerator : Layer
{
    private const int Side = 7, Groups = 8;

    private readonly int _width;

    /// <param name="width">Channels at 28 x 28, a multiple of 8; there are 4 times as many at 7 x 7.</param>
    public ImageGenerator(Generator generator, int latents, int width = 16, Backend? device = null)
    {
        _width = width;
        Input = new Linear(latents, Side * Side * 4 * width, generator, device: device);
        Norm1 = new GroupNorm(Groups, 4 * width, silu: true, device: device);
        Conv1 = new Conv2d(4 * width, 2 * width, 3, generator, padding: 1, device: device);
        Norm2 = new GroupNorm(Groups, 2 * width, silu: true, device: device);
        Conv2 = new Conv2d(2 * width, width, 3, generator, padding: 1, device: device);
        Norm3 = new GroupNorm(Groups, width, silu: true, device: device);
        Output = new Conv2d(width, 1, 3, generator, padding: 1, device: device);
    }

    public Linear Input { get; }

    public GroupNorm Norm1 { get; }

    public Conv2d Conv1 { get; }

    public GroupNorm Norm2 { get; }

    public Conv2d Conv2 { get; }

    public GroupNorm Norm3 { get; }

    public Conv2d Output { get; }

    public override Tensor Forward(Tensor x)
    {
        var h = Norm1.Forward(Input.Forward(x).Reshape(x.Shape[0], Side, Side, 4 * _width));
        h = Norm2.Forward(Conv1.Forward(F.UpsampleNearest(h, 2)));
        h = Norm3.Forward(Conv2.Forward(F.UpsampleNearest(h, 2)));
        return Output.Forward(h).Tanh();
    }
}

/// <summary>
/// Images [n, 28, 28, 1] -> logits [n, 1]: three convolutions of stride 2. It has no normalisation, which would let samples of a batch or
/// pixels of an image speak for each other, and all of it can be differentiated twice.
/// </summary>
public sealed class ImageDiscriminator : Layer
{
    private const int Side = 4;

    /// <param name="width">Channels of the first convolution; the others have twice as many.</param>
    public ImageDiscriminator(Generator generator, int width = 32, Backend? device = null)
    {
        Conv1 = new Conv2d(1, width, 3, generator, stride: 2, padding: 1, device: device);
        Conv2 = new Conv2d(width, 2 * width, 3, generator, stride: 2, padding: 1, device: device);
        Conv3 = new Conv2d(2 * width, 2 * width, 3, generator, stride: 2, padding: 1, device: device);
        Output = new Linear(Side * Side * 2 * width, 1, generator, device: device);
    }

    public Conv2d Conv1 { get; }

    public Conv2d Conv2 { get; }

    public Conv2d Conv3 { get; }

    public Linear Output { get; }

    public override Tensor Forward(Tensor x)
    {
        const double Slope = 0.2;
        var h = F.LeakyRelu(Conv1.Forward(x), Slope);
        h = F.LeakyRelu(Conv2.Forward(h), Slope);
        h = F.LeakyRelu(Conv3.Forward(h), Slope);
        return Output.Forward(h.Reshape(x.Shape[0], h.Count / x.Shape[0]));
    }
}
