namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void Permute(Shape shape, ReadOnlySpan<int> axes, Storage x, Storage y)
    {
        if (x.DType == DType.Int32)
            Permute<int>(shape, axes, I(x), I(y));
        else
            Permute<double>(shape, axes, D(x), D(y));
    }

    public override void CopyRegion(
        Shape sourceShape, ReadOnlySpan<int> sourceStart, Storage x,
        Shape destinationShape, ReadOnlySpan<int> destinationStart, Storage y, Shape extent)
    {
        if (x.DType == DType.Int32)
            CopyRegion<int>(sourceShape, sourceStart, I(x), destinationShape, destinationStart, I(y), extent);
        else
            CopyRegion<double>(sourceShape, sourceStart, D(x), destinationShape, destinationStart, D(y), extent);
    }

    public override void Join(int rows, int left, int right, Storage a, Storage b, Storage y)
    {
        Shape whole = [rows, left + right];
        CopyRegion([rows, left], [0, 0], a, whole, [0, 0], y, [rows, left]);
        CopyRegion([rows, right], [0, 0], b, whole, [0, left], y, [rows, right]);
    }

    public override void Split(int rows, int left, int right, Storage y, Storage a, Storage b)
    {
        Shape whole = [rows, left + right];
        CopyRegion(whole, [0, 0], y, [rows, left], [0, 0], a, [rows, left]);
        CopyRegion(whole, [0, left], y, [rows, right], [0, 0], b, [rows, right]);
    }

    private static void Permute<T>(Shape shape, ReadOnlySpan<int> axes, ReadOnlySpan<T> x, Span<T> y)
    {
        Span<int> permuted = stackalloc int[axes.Length];
        for (int i = 0; i < axes.Length; i++)
            permuted[i] = shape[axes[i]];
        var outputShape = new Shape(permuted);
        Span<int> at = stackalloc int[axes.Length], from = stackalloc int[axes.Length];
        for (int i = 0; i < y.Length; i++)
        {
            Coordinates(outputShape, i, at);
            for (int axis = 0; axis < axes.Length; axis++)
                from[axes[axis]] = at[axis];
            y[i] = x[Offset(shape, from)];
        }
    }

    private static void CopyRegion<T>(
        Shape sourceShape, ReadOnlySpan<int> sourceStart, ReadOnlySpan<T> x,
        Shape destinationShape, ReadOnlySpan<int> destinationStart, Span<T> y, Shape extent)
    {
        int rank = extent.Rank;
        Span<int> at = stackalloc int[rank], from = stackalloc int[rank], to = stackalloc int[rank];
        for (int i = 0; i < extent.Count; i++)
        {
            Coordinates(extent, i, at);
            for (int axis = 0; axis < rank; axis++)
            {
                from[axis] = sourceStart[axis] + at[axis];
                to[axis] = destinationStart[axis] + at[axis];
            }
            y[Offset(destinationShape, to)] = x[Offset(sourceShape, from)];
        }
    }

    /// <summary>The place along each axis of element <paramref name="index"/> in row-major order.</summary>
    private static void Coordinates(Shape shape, int index, Span<int> coordinates)
    {
        for (int axis = shape.Rank - 1; axis >= 0; axis--)
        {
            coordinates[axis] = index % shape[axis];
            index /= shape[axis];
        }
    }

    private static int Offset(Shape shape, ReadOnlySpan<int> coordinates)
    {
        int offset = 0;
        for (int axis = 0; axis < shape.Rank; axis++)
            offset = offset * shape[axis] + coordinates[axis];
        return offset;
    }
}
