namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void ForwardDiffusion(
        int samples, int size, PhiloxState state, Storage x0, Storage alpha, Storage sigma, Storage xt, Storage noise)
    {
        Span<double> x = D(x0), a = D(alpha), s = D(sigma), y = D(xt), eps = D(noise);
        for (int n = 0; n < samples; n++)
        {
            for (int i = n * size; i < (n + 1) * size; i++)
            {
                eps[i] = BoxMuller(state, i);
                y[i] = a[n] * x[i] + s[n] * eps[i];
            }
        }
    }

    public override void DiffusionStep(in DiffusionStepCoefficients c, PhiloxState state, Storage x, Storage eps, Storage y)
    {
        Span<double> xt = D(x), e = D(eps), result = D(y);
        for (int i = 0; i < result.Length; i++)
        {
            double x0 = Math.Clamp(c.InverseAlpha * xt[i] - c.SigmaOverAlpha * e[i], -c.ClipX0, c.ClipX0);
            double noise = c.NoiseScale == 0 ? 0 : BoxMuller(state, i);
            result[i] = c.CoefficientX * xt[i] + c.CoefficientX0 * x0 + c.CoefficientEps * e[i] + c.NoiseScale * noise;
        }
    }

    public override void WeightedMse(int samples, int size, Storage x, Storage y, Storage weights, Storage losses)
    {
        Span<double> a = D(x), b = D(y), w = D(weights), loss = D(losses);
        for (int n = 0; n < samples; n++)
        {
            double sum = 0;
            for (int i = n * size; i < (n + 1) * size; i++)
                sum += (a[i] - b[i]) * (a[i] - b[i]);
            loss[n] = w[n] * sum / size;
        }
    }

    public override void WeightedMseGrad(int samples, int size, Storage x, Storage y, Storage weights, Storage gLosses, Storage gx)
    {
        Span<double> a = D(x), b = D(y), w = D(weights), g = D(gLosses), to = D(gx);
        for (int n = 0; n < samples; n++)
        {
            for (int i = n * size; i < (n + 1) * size; i++)
                to[i] = g[n] * w[n] * 2 * (a[i] - b[i]) / size;
        }
    }

    public override void TimeEmbedding(in TimeEmbeddingGeometry g, Storage t, Storage y)
    {
        Span<double> times = D(t), to = D(y);
        int half = g.Dim / 2;
        to.Clear();
        for (int n = 0; n < g.Count; n++)
        {
            for (int i = 0; i < half; i++)
            {
                double angle = times[n] * Math.Pow(g.MaxPeriod, -i / (half - g.FrequencyShift));
                to[n * g.Dim + i + (g.FlipSinToCos ? half : 0)] = Math.Sin(angle);
                to[n * g.Dim + i + (g.FlipSinToCos ? 0 : half)] = Math.Cos(angle);
            }
        }
    }
}
