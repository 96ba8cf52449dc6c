namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void ForwardDiffusion(
        int samples, int size, PhiloxState state, Storage x0, Storage alpha, Storage sigma, Storage xt, Storage noise)
    {
        if (VectorBits == 512)
            ForwardDiffusion<Simd512>(samples, size, state, x0, alpha, sigma, xt, noise);
        else if (VectorBits == 256)
            ForwardDiffusion<Simd256>(samples, size, state, x0, alpha, sigma, xt, noise);
        else
            ForwardDiffusion<Simd128>(samples, size, state, x0, alpha, sigma, xt, noise);
    }

    public override void DiffusionStep(in DiffusionStepCoefficients c, PhiloxState state, Storage x, Storage eps, Storage y)
    {
        if (VectorBits == 512)
            Workers.ForRange(y.Length, RandomGrain, new DiffusionKernels.StepBody<Simd512>(c, state, F(x), F(eps), F(y)));
        else if (VectorBits == 256)
            Workers.ForRange(y.Length, RandomGrain, new DiffusionKernels.StepBody<Simd256>(c, state, F(x), F(eps), F(y)));
        else
            Workers.ForRange(y.Length, RandomGrain, new DiffusionKernels.StepBody<Simd128>(c, state, F(x), F(eps), F(y)));
    }

    public override void WeightedMse(int samples, int size, Storage x, Storage y, Storage weights, Storage losses)
    {
        if (VectorBits == 512)
            WeightedMse<Simd512>(samples, size, x, y, weights, losses);
        else if (VectorBits == 256)
            WeightedMse<Simd256>(samples, size, x, y, weights, losses);
        else
            WeightedMse<Simd128>(samples, size, x, y, weights, losses);
    }

    public override void WeightedMseGrad(int samples, int size, Storage x, Storage y, Storage weights, Storage gLosses, Storage gx)
    {
        if (VectorBits == 512)
            WeightedMseGrad<Simd512>(samples, size, x, y, weights, gLosses, gx);
        else if (VectorBits == 256)
            WeightedMseGrad<Simd256>(samples, size, x, y, weights, gLosses, gx);
        else
            WeightedMseGrad<Simd128>(samples, size, x, y, weights, gLosses, gx);
    }

    public override void TimeEmbedding(in TimeEmbeddingGeometry g, Storage t, Storage y)
    {
        int half = g.Dim / 2;
        var frequencies = Allocate(DType.Float32, 2 * half);
        float* high = F(frequencies), low = high + half;
        for (int i = 0; i < half; i++)
        {
            // Turns (not radians) per unit of time as a sum of two float32, 48 bits in all.
            double turns = Math.Pow(g.MaxPeriod, -i / (half - g.FrequencyShift)) / (2 * Math.PI);
            high[i] = (float)turns;
            low[i] = (float)(turns - high[i]);
        }
        int grain = RowGrain(8 * g.Dim);
        if (VectorBits == 512)
            Workers.ForRange(g.Count, grain, new DiffusionKernels.TimeEmbeddingBody<Simd512>(g, high, low, F(t), F(y)));
        else if (VectorBits == 256)
            Workers.ForRange(g.Count, grain, new DiffusionKernels.TimeEmbeddingBody<Simd256>(g, high, low, F(t), F(y)));
        else
            Workers.ForRange(g.Count, grain, new DiffusionKernels.TimeEmbeddingBody<Simd128>(g, high, low, F(t), F(y)));
        Release(frequencies);
    }

    private static void ForwardDiffusion<V>(
        int samples, int size, PhiloxState state, Storage x0, Storage alpha, Storage sigma, Storage xt, Storage noise) where V : struct, ISimd<V> =>
        Workers.ForRange(
            samples * size, RandomGrain,
            new DiffusionKernels.ForwardBody<V>(size, state, F(x0), F(alpha), F(sigma), F(xt), F(noise)));

    private void WeightedMse<V>(int samples, int size, Storage x, Storage y, Storage weights, Storage losses) where V : struct, ISimd<V>
    {
        int pieces = Math.Max(1, (size + MemoryGrain - 1) / MemoryGrain);
        var sums = Allocate(DType.Float32, samples * pieces);
        float* sum = F(sums), weight = F(weights), loss = F(losses);
        Workers.ForRange(samples * pieces, RowGrain(size), new DiffusionKernels.SquaredErrorBody<V>(size, pieces, MemoryGrain, F(x), F(y), sum));
        for (int n = 0; n < samples; n++)
        {
            double total = 0;
            for (int piece = 0; piece < pieces; piece++)
                total += sum[n * pieces + piece];
            loss[n] = (float)(weight[n] * total / size);
        }
        Release(sums);
    }

    private static void WeightedMseGrad<V>(
        int samples, int size, Storage x, Storage y, Storage weights, Storage gLosses, Storage gx) where V : struct, ISimd<V>
    {
        int pieces = Math.Max(1, (size + MemoryGrain - 1) / MemoryGrain);
        Workers.ForRange(
            samples * pieces, RowGrain(size),
            new DiffusionKernels.SquaredErrorGradBody<V>(size, pieces, MemoryGrain, F(x), F(y), F(weights), F(gLosses), F(gx)));
    }
}
