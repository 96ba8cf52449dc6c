namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void Attention(in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp) => throw new NotImplementedException();

    public override void AttentionGrad(
        in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp, Storage gy,
        Storage gq, Storage gk, Storage gv) => throw new NotImplementedException();
}
