namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void MatMul(in MatMulGeometry g, Storage a, Storage b, Storage? bias, Storage c) => throw new NotImplementedException();
}
