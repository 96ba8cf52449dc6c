namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void MatMul(in MatMulGeometry g, Storage a, Storage b, Storage? bias, Storage c) =>
        Gemm.MatMul(this, g, F(a), F(b), bias is null ? null : F(bias), F(c));
}
