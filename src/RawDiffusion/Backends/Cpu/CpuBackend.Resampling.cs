namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void UpsampleNearest(in ResampleGeometry g, Storage x, Storage y) => throw new NotImplementedException();

    public override void PoolSum(in ResampleGeometry g, double scale, Storage x, Storage y) => throw new NotImplementedException();

    public override void PoolSumGrad(in ResampleGeometry g, double scale, Storage gy, Storage gx) => throw new NotImplementedException();
}
