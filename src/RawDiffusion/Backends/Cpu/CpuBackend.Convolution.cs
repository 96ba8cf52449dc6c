namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void Conv2d(in Conv2dGeometry g, Storage x, Storage w, Storage? bias, Storage y) => throw new NotImplementedException();

    public override void Conv2dGradInput(in Conv2dGeometry g, Storage gy, Storage w, Storage gx) => throw new NotImplementedException();

    public override void Conv2dGradWeight(in Conv2dGeometry g, Storage x, Storage gy, Storage gw) => throw new NotImplementedException();
}
