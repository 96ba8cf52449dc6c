using RawDiffusion.Backends;

namespace RawDiffusion.Nn;

/// <summary>A table of vectors looked up by Int32 index: [...] -> [..., width]. They start standard normal.</summary>
public sealed class Embedding(int count, int width, Generator generator, Backend? device = null) : Layer
{
    /// <summary>[count, width].</summary>
    public Parameter Weight { get; } = Init.Normal([count, width], 1, generator, device);

    /// <exception cref="ArgumentException">The indices are no Int32 tensor, or one is outside the table.</exception>
    public override Tensor Forward(Tensor indices) => F.Embedding(indices, Weight);

    protected override string Describe() => $"{Weight.Shape[0]} of {Weight.Shape[1]}";
}
