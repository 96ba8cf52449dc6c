namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void UpsampleNearest(in ResampleGeometry g, Storage x, Storage y) => throw new NotImplementedException();

    public override void PoolSum(in ResampleGeometry g, double scale, Storage x, Storage y) => throw new NotImplementedException();

    public override void PoolSumGrad(in ResampleGeometry g, double scale, Storage gy, Storage gx) => throw new NotImplementedException();
}
