namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void Conv2d(in Conv2dGeometry g, Storage x, Storage w, in ConvEpilogue epilogue, Storage y)
    {
        var (bias, sampleBias, residual) = epilogue;
        if (IsMatrixProduct(g) && sampleBias is null && residual is null)
        {
            MatMul(new MatMulGeometry(1, g.Batch * g.Height * g.Width, g.OutChannels, g.InChannels, false, true, 0, 0), x, w, bias, y);
            return;
        }
        var addends = new ConvAddends(Optional(bias), Optional(sampleBias), Optional(residual));
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
            ConvGradWeight<Simd512>.Run(this, g, F(x), F(gy), F(gw));
        else if (VectorBits == 256)
            ConvGradWeight<Simd256>.Run(this, g, F(x), F(gy), F(gw));
        else
            ConvGradWeight<Simd128>.Run(this, g, F(x), F(gy), F(gw));
    }

    private void RunConvolution(in ConvPlan plan, float* x, float* w, in ConvAddends addends, float* y)
    {
        if (VectorBits == 512)
            ConvIndirect<Simd512>.Run(this, plan, x, w, addends, y);
        else if (VectorBits == 256)
            ConvIndirect<Simd256>.Run(this, plan, x, w, addends, y);
        else
            ConvIndirect<Simd128>.Run(this, plan, x, w, addends, y);
    }

    private static float* Optional(Storage? storage) => storage is null ? null : F(storage);

    /// <summary>Whether every output pixel reads exactly its own input pixel, and there are channels enough to fill vectors.</summary>
    private static bool IsMatrixProduct(in Conv2dGeometry g) =>
        g is { KernelHeight: 1, KernelWidth: 1, StrideHeight: 1, StrideWidth: 1, PadTop: 0, PadBottom: 0, PadLeft: 0, PadRight: 0, Groups: 1, InChannels: >= 8, OutChannels: >= 8 };
}
