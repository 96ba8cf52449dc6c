using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// A multi-layer perceptron for points: x[N, dimensions] and times t[N] (0 to 999) -> [N, dimensions]. The sinusoidal embedding
/// of t stands beside x at the input; neither needs a gradient, so the time costs the backward pass nothing.
/// </summary>
public sealed class MlpDenoiser : Module
{
    private readonly int _timeWidth;

    /// <param name="layers">Number of hidden layers.</param>
    /// <param name="timeWidth">Width of the time's embedding, even.</param>
    public MlpDenoiser(
        Generator generator, Backend? device = null, int dimensions = 2, int width = 128, int layers = 3, int timeWidth = 32)
    {
        _timeWidth = timeWidth;
        Hidden = new Linear[layers];
        for (int i = 0; i < layers; i++)
            Hidden[i] = new Linear(i == 0 ? dimensions + timeWidth : width, width, generator, device: device);
        Output = new Linear(width, dimensions, generator, device: device);
    }

    public Linear[] Hidden { get; }

    public Linear Output { get; }

    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public Tensor Forward(Tensor x, Tensor t)
    {
        var h = Tensor.Concat([x, F.TimeEmbedding(t, _timeWidth)], axis: 1);
        foreach (var layer in Hidden)
            h = F.Silu(layer.Forward(h));
        return Output.Forward(h);
    }
}
