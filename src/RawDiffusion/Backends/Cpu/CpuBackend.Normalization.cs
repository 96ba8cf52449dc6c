namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void GroupNorm(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd) => throw new NotImplementedException();

    public override void GroupNormGrad(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta) => throw new NotImplementedException();

    public override void LayerNorm(in LayerNormGeometry g, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd) => throw new NotImplementedException();

    public override void LayerNormGrad(
        in LayerNormGeometry g, Storage x, Storage gamma, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta) => throw new NotImplementedException();
}
