namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void AdamW(in AdamWStep s, Storage parameter, Storage gradient, Storage m, Storage v, Storage? gradientNorm, double maxNorm) => throw new NotImplementedException();

    public override void Sgd(in SgdStep s, Storage parameter, Storage gradient, Storage buffer, Storage? gradientNorm, double maxNorm) => throw new NotImplementedException();

    public override void Ema(double decay, Storage parameter, Storage average) => throw new NotImplementedException();

    public override void Accumulate(Storage x, Storage y) => throw new NotImplementedException();
}
