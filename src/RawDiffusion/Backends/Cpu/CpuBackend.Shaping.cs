namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    // Float32 and Int32 elements are both four bytes that are only moved, so one kernel serves both.

    public override void Permute(Shape shape, ReadOnlySpan<int> axes, Storage x, Storage y) =>
        CopyKernels.Permute(shape, axes, I(x), I(y));

    public override void CopyRegion(
        Shape sourceShape, ReadOnlySpan<int> sourceStart, Storage x,
        Shape destinationShape, ReadOnlySpan<int> destinationStart, Storage y, Shape extent) =>
        CopyKernels.Region(sourceShape, sourceStart, I(x), destinationShape, destinationStart, I(y), extent);

    public override void Join(int rows, int left, int right, Storage a, Storage b, Storage y) => RowPairs.Join(rows, left, right, I(a), I(b), I(y));

    public override void Split(int rows, int left, int right, Storage y, Storage a, Storage b) => RowPairs.Split(rows, left, right, I(y), I(a), I(b));
}
