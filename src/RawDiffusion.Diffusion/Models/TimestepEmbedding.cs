using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>Two linear layers with SiLU between them that embed a time's features: [N, features] -> [N, width].</summary>
public sealed class TimestepEmbedding : Layer
{
    internal TimestepEmbedding(int features, int width, BlockSettings settings)
    {
        Linear1 = settings.Linear(features, width);
        Linear2 = settings.Linear(width, width);
    }

    [Name("linear_1")]
    public Linear Linear1 { get; }

    [Name("linear_2")]
    public Linear Linear2 { get; }

    public override Tensor Forward(Tensor x) => Linear2.Forward(F.Silu(Linear1.Forward(x)));
}

/// <summary>
/// Random Fourier features of the logarithm of a time: t[N] -> [N, 2 width], sines before cosines of 2 pi w log t. The frequencies w
/// are drawn once and not trained. Source: Song et al. 2021, Score-Based Generative Modeling, appendix C.
/// </summary>
public sealed class FourierProjection : Layer
{
    private const double StandardDeviation = 16;

    internal FourierProjection(int width, BlockSettings settings)
    {
        Weight = Init.Normal([width], StandardDeviation, settings.Generator, settings.Device);
        Weight.RequireGrad(false);
    }

    /// <summary>[width].</summary>
    public Parameter Weight { get; }

    public override Tensor Forward(Tensor t)
    {
        var angles = t.Log().Reshape(t.Count, 1) * Weight * 2 * Math.PI;
        return Tensor.Concat([angles.Sin(), angles.Cos()], axis: 1);
    }
}
