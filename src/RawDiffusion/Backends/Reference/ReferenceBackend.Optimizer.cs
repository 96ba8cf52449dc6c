namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void AdamW(
        in AdamWStep s, Storage parameter, Storage gradient, Storage m, Storage v, Storage? gradientNorm, double maxNorm,
        Storage? average = null, double decay = 0)
    {
        Span<double> p = D(parameter), g = D(gradient), m1 = D(m), m2 = D(v);
        double clip = ClipFactor(gradientNorm, maxNorm);
        for (int i = 0; i < p.Length; i++)
        {
            double gi = clip * g[i];
            if (s.DecoupledWeightDecay)
                p[i] -= s.LearningRate * s.WeightDecay * p[i];
            else
                gi += s.WeightDecay * p[i];
            m1[i] = s.Beta1 * m1[i] + (1 - s.Beta1) * gi;
            m2[i] = s.Beta2 * m2[i] + (1 - s.Beta2) * gi * gi;
            double mHat = m1[i] / s.BiasCorrection1, vHat = m2[i] / s.BiasCorrection2;
            p[i] -= s.LearningRate * mHat / (Math.Sqrt(vHat) + s.Epsilon);
        }
        if (average is not null)
            Ema(decay, parameter, average);
    }

    public override void Sgd(in SgdStep s, Storage parameter, Storage gradient, Storage buffer, Storage? gradientNorm, double maxNorm)
    {
        Span<double> p = D(parameter), g = D(gradient), b = D(buffer);
        double clip = ClipFactor(gradientNorm, maxNorm);
        for (int i = 0; i < p.Length; i++)
        {
            double gi = clip * g[i] + s.WeightDecay * p[i];
            if (s.Momentum != 0)
            {
                b[i] = s.FirstStep ? gi : s.Momentum * b[i] + gi;
                gi = s.Nesterov ? gi + s.Momentum * b[i] : b[i];
            }
            p[i] -= s.LearningRate * gi;
        }
    }

    public override void Ema(double decay, Storage parameter, Storage average)
    {
        Span<double> p = D(parameter), a = D(average);
        for (int i = 0; i < p.Length; i++)
            a[i] = decay * a[i] + (1 - decay) * p[i];
    }

    public override void Accumulate(Storage x, Storage y)
    {
        Span<double> from = D(x), to = D(y);
        for (int i = 0; i < from.Length; i++)
            to[i] += from[i];
    }

    private static double ClipFactor(Storage? gradientNorm, double maxNorm) =>
        gradientNorm is null ? 1 : Math.Min(1, maxNorm / (D(gradientNorm)[0] + 1e-6));
}
