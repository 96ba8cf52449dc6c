namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void Conv2d(in Conv2dGeometry g, Storage x, Storage w, Storage? bias, Storage y) =>
        RunConvolution(ConvPlan.Forward(g), F(x), F(w), bias is null ? null : F(bias), F(y));

    public override void Conv2dGradInput(in Conv2dGeometry g, Storage gy, Storage w, Storage gx)
    {
        for (int phaseRow = 0; phaseRow < g.StrideHeight; phaseRow++)
        {
            for (int phaseColumn = 0; phaseColumn < g.StrideWidth; phaseColumn++)
                RunConvolution(ConvPlan.GradInput(g, phaseRow, phaseColumn), F(gy), F(w), null, F(gx));
        }
    }

    public override void Conv2dGradWeight(in Conv2dGeometry g, Storage x, Storage gy, Storage gw)
    {
        if (VectorBits == 512)
            ConvGradWeight<Simd512>.Run(this, g, F(x), F(gy), F(gw));
        else if (VectorBits == 256)
            ConvGradWeight<Simd256>.Run(this, g, F(x), F(gy), F(gw));
        else
            ConvGradWeight<Simd128>.Run(this, g, F(x), F(gy), F(gw));
    }

    private void RunConvolution(in ConvPlan plan, float* x, float* w, float* bias, float* y)
    {
        if (VectorBits == 512)
            ConvIndirect<Simd512>.Run(this, plan, x, w, bias, y);
        else if (VectorBits == 256)
            ConvIndirect<Simd256>.Run(this, plan, x, w, bias, y);
        else
            ConvIndirect<Simd128>.Run(this, plan, x, w, bias, y);
    }
}
