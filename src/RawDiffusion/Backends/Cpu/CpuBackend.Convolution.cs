namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <summary>
    /// Whether 3 x 3 convolutions go by <see cref="Cpu.Winograd"/> where that pays; true unless a test or a benchmark wants the
    /// direct ones to compare with.
    /// </summary>
    internal bool UsesWinograd { get; init; } = true;

    public override void Conv2d(in Conv2dGeometry g, Storage x, Storage w, in ConvEpilogue epilogue, Storage y)
    {
        var (bias, sampleBias, residual, silu, sums) = epilogue;
        if (IsMatrixProduct(g) && sampleBias is null && residual is null && !silu)
        {
            MatMul(new MatMulGeometry(1, g.Batch * g.Height * g.Width, g.OutChannels, g.InChannels, false, true, 0, 0), x, w, bias, y);
            return;
        }
        var addends = new ConvAddends(Optional(bias), Optional(sampleBias), Optional(residual), silu, Optional(sums));
        RunConvolution(ConvPlan.Forward(g), F(x), F(w), addends, F(y));
    }

    public override void Conv2dGradInput(in Conv2dGeometry g, Storage gy, Storage w, Storage gx)
    {
        if (IsMatrixProduct(g))
        {
            MatMul(new MatMulGeometry(1, g.Batch * g.Height * g.Width, g.InChannels, g.OutChannels, false, false, 0, 0), gy, w, null, gx);
            return;
        }
        for (int phaseRow = 0; phaseRow < g.StrideHeight; phaseRow++)
        {
            for (int phaseColumn = 0; phaseColumn < g.StrideWidth; phaseColumn++)
                RunConvolution(ConvPlan.GradInput(g, phaseRow, phaseColumn), F(gy), F(w), default, F(gx));
        }
    }

    public override void Conv2dGradWeight(in Conv2dGeometry g, Storage x, Storage gy, Storage gw)
    {
        if (IsMatrixProduct(g))
            MatMul(new MatMulGeometry(1, g.OutChannels, g.InChannels, g.Batch * g.Height * g.Width, true, false, 0, 0), gy, x, null, gw);
        else if (VectorBits == 512)
            GradWeight<GemmKernel512, Simd512>(g, F(x), F(gy), F(gw));
        else if (VectorBits == 256)
            GradWeight<GemmKernel256, Simd256>(g, F(x), F(gy), F(gw));
        else
            GradWeight<GemmKernelPortable<Simd128>, Simd128>(g, F(x), F(gy), F(gw));
    }

    private void GradWeight<TKernel, V>(in Conv2dGeometry g, float* x, float* gy, float* gw)
        where TKernel : struct, IGemmKernel where V : struct, ISimd<V>
    {
        if (UsesWinograd && Winograd.Pays(ConvPlan.Forward(g), V.Count))
            WinogradGradWeight<TKernel, V>.Run(this, g, x, gy, gw);
        else
            ConvGradWeight<V>.Run(this, g, x, gy, gw);
    }

    private void RunConvolution(in ConvPlan plan, float* x, float* w, in ConvAddends addends, float* y)
    {
        if (VectorBits == 512)
            RunConvolution<GemmKernel512, Simd512>(plan, x, w, addends, y);
        else if (VectorBits == 256)
            RunConvolution<GemmKernel256, Simd256>(plan, x, w, addends, y);
        else
            RunConvolution<GemmKernelPortable<Simd128>, Simd128>(plan, x, w, addends, y);
    }

    private void RunConvolution<TKernel, V>(in ConvPlan plan, float* x, float* w, in ConvAddends addends, float* y)
        where TKernel : struct, IGemmKernel where V : struct, ISimd<V>
    {
        if (UsesWinograd && Winograd.Pays(plan, V.Count))
            WinogradConv<TKernel, V>.Run(this, plan, x, w, addends, y);
        else
            ConvIndirect<V>.Run(this, plan, x, w, addends, y);
    }

    private static float* Optional(Storage? storage) => storage is null ? null : F(storage);

    /// <summary>Whether every output pixel reads exactly its own input pixel, and there are channels enough to fill vectors.</summary>
    private static bool IsMatrixProduct(in Conv2dGeometry g) =>
        g is { KernelHeight: 1, KernelWidth: 1, StrideHeight: 1, StrideWidth: 1, PadTop: 0, PadBottom: 0, PadLeft: 0, PadRight: 0, Groups: 1, InChannels: >= 8, OutChannels: >= 8 };
}
