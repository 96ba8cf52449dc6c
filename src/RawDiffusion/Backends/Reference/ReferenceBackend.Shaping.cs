namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void Permute(Shape shape, ReadOnlySpan<int> axes, Storage x, Storage y) => throw new NotImplementedException();

    public override void CopyRegion(
        Shape sourceShape, ReadOnlySpan<int> sourceStart, Storage x,
        Shape destinationShape, ReadOnlySpan<int> destinationStart, Storage y, Shape extent) => throw new NotImplementedException();
}
