namespace RawDiffusion.Backends;

// Random numbers, diffusion and optimizers.
public sealed partial class ProfilingBackend
{
    public override void Uniform(PhiloxState state, double low, double high, Storage y)
    {
        using var call = Begin(Count(y), 0, Bytes(y));
        inner.Uniform(state, low, high, y);
    }

    public override void Normal(NormalMethod method, PhiloxState state, Storage y)
    {
        using var call = Begin($"{method}, {Count(y)}", 0, Bytes(y));
        inner.Normal(method, state, y);
    }

    public override void Integers(PhiloxState state, int low, int high, Storage y)
    {
        using var call = Begin(Count(y), 0, Bytes(y));
        inner.Integers(state, low, high, y);
    }

    public override void Dropout(PhiloxState state, double p, Storage x, Storage y)
    {
        using var call = Begin(Count(x), 0, Bytes(x, y));
        inner.Dropout(state, p, x, y);
    }

    public override void ForwardDiffusion(
        int samples, int size, PhiloxState state, Storage x0, Storage alpha, Storage sigma, Storage xt, Storage noise)
    {
        using var call = Begin($"{samples} x {size}", 0, Bytes(x0, xt, noise));
        inner.ForwardDiffusion(samples, size, state, x0, alpha, sigma, xt, noise);
    }

    public override void DiffusionStep(in DiffusionStepCoefficients c, PhiloxState state, Storage x, Storage eps, Storage y)
    {
        using var call = Begin(Count(x), 0, Bytes(x, eps, y));
        inner.DiffusionStep(in c, state, x, eps, y);
    }

    public override void WeightedMse(int samples, int size, Storage x, Storage y, Storage weights, Storage losses)
    {
        using var call = Begin($"{samples} x {size}", 0, Bytes(x, y));
        inner.WeightedMse(samples, size, x, y, weights, losses);
    }

    public override void WeightedMseGrad(int samples, int size, Storage x, Storage y, Storage weights, Storage gLosses, Storage gx)
    {
        using var call = Begin($"{samples} x {size}", 0, Bytes(x, y, gx));
        inner.WeightedMseGrad(samples, size, x, y, weights, gLosses, gx);
    }

    public override void TimeEmbedding(in TimeEmbeddingGeometry g, Storage t, Storage y)
    {
        using var call = Begin($"{g.Count} x {g.Dim}", 0, Bytes(t, y));
        inner.TimeEmbedding(in g, t, y);
    }

    public override void AdamW(
        in AdamWStep s, Storage parameter, Storage gradient, Storage m, Storage v, Storage? gradientNorm, double maxNorm,
        Storage? average = null, double decay = 0)
    {
        using var call = Begin(Count(parameter), 0, Bytes(parameter, parameter, gradient, m, m, v, v, average, average));
        inner.AdamW(in s, parameter, gradient, m, v, gradientNorm, maxNorm, average, decay);
    }

    public override void Sgd(in SgdStep s, Storage parameter, Storage gradient, Storage buffer, Storage? gradientNorm, double maxNorm)
    {
        using var call = Begin(Count(parameter), 0, Bytes(parameter, parameter, gradient, buffer, buffer));
        inner.Sgd(in s, parameter, gradient, buffer, gradientNorm, maxNorm);
    }

    public override void Ema(double decay, Storage parameter, Storage average)
    {
        using var call = Begin(Count(parameter), 0, Bytes(parameter, average, average));
        inner.Ema(decay, parameter, average);
    }

    public override void Accumulate(Storage x, Storage y)
    {
        using var call = Begin(Count(x), 0, Bytes(x, y, y));
        inner.Accumulate(x, y);
    }
}
