namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void AdamW(
        in AdamWStep s, Storage parameter, Storage gradient, Storage m, Storage v, Storage? gradientNorm, double maxNorm,
        Storage? average = null, double decay = 0)
    {
        float* p = F(parameter), g = F(gradient), m1 = F(m), m2 = F(v);
        float clip = ClipFactor(gradientNorm, maxNorm);
        if (VectorBits == 512)
            OptimizerKernels.AdamW<Simd512>(s, parameter.Length, p, g, m1, m2, clip);
        else if (VectorBits == 256)
            OptimizerKernels.AdamW<Simd256>(s, parameter.Length, p, g, m1, m2, clip);
        else
            OptimizerKernels.AdamW<Simd128>(s, parameter.Length, p, g, m1, m2, clip);
        if (average is not null)
            Ema(decay, parameter, average);
    }

    public override void Sgd(in SgdStep s, Storage parameter, Storage gradient, Storage buffer, Storage? gradientNorm, double maxNorm)
    {
        float* p = F(parameter), g = F(gradient), b = F(buffer);
        float clip = ClipFactor(gradientNorm, maxNorm);
        if (VectorBits == 512)
            OptimizerKernels.Sgd<Simd512>(s, parameter.Length, p, g, b, clip);
        else if (VectorBits == 256)
            OptimizerKernels.Sgd<Simd256>(s, parameter.Length, p, g, b, clip);
        else
            OptimizerKernels.Sgd<Simd128>(s, parameter.Length, p, g, b, clip);
    }

    public override void Ema(double decay, Storage parameter, Storage average)
    {
        if (VectorBits == 512)
            OptimizerKernels.Ema<Simd512>(decay, parameter.Length, F(parameter), F(average));
        else if (VectorBits == 256)
            OptimizerKernels.Ema<Simd256>(decay, parameter.Length, F(parameter), F(average));
        else
            OptimizerKernels.Ema<Simd128>(decay, parameter.Length, F(parameter), F(average));
    }

    public override void Accumulate(Storage x, Storage y)
    {
        if (VectorBits == 512)
            OptimizerKernels.Accumulate<Simd512>(x.Length, F(x), F(y));
        else if (VectorBits == 256)
            OptimizerKernels.Accumulate<Simd256>(x.Length, F(x), F(y));
        else
            OptimizerKernels.Accumulate<Simd128>(x.Length, F(x), F(y));
    }

    private static float ClipFactor(Storage? gradientNorm, double maxNorm) =>
        gradientNorm is null ? 1 : (float)Math.Min(1, maxNorm / (F(gradientNorm)[0] + 1e-6));
}
