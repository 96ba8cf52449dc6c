namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void Reduce(ReduceOp op, in ReduceGeometry g, Storage x, Storage y) => throw new NotImplementedException();

    public override void ArgMax(in ReduceGeometry g, Storage x, Storage y) => throw new NotImplementedException();
}
