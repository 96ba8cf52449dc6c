namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void Uniform(PhiloxState state, double low, double high, Storage y) => throw new NotImplementedException();

    public override void Normal(NormalMethod method, PhiloxState state, Storage y) => throw new NotImplementedException();

    public override void Integers(PhiloxState state, int low, int high, Storage y) => throw new NotImplementedException();

    public override void Dropout(PhiloxState state, double p, Storage x, Storage y) => throw new NotImplementedException();
}
