namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void Unary<TOp>(Storage x, Storage y, double a, double b) => throw new NotImplementedException();

    public override void Binary<TOp>(in BroadcastGeometry g, Storage x, Storage y, Storage z, double a) => throw new NotImplementedException();

    public override void Where(Storage condition, Storage x, Storage y, Storage z) => throw new NotImplementedException();

    public override void Broadcast(in BroadcastGeometry g, Storage x, Storage y) => throw new NotImplementedException();
}
