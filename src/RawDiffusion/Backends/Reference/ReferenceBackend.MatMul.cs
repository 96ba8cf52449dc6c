namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void MatMul(in MatMulGeometry g, Storage a, Storage b, Storage? bias, Storage c) => throw new NotImplementedException();
}
