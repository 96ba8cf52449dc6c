using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    public override void Permute(Shape shape, ReadOnlySpan<int> axes, Storage x, Storage y)
    {
        Span<int> strides = stackalloc int[Shape.MaxRank], extent = stackalloc int[Shape.MaxRank], from = stackalloc int[Shape.MaxRank];
        Strides(shape, strides);
        for (int i = 0; i < axes.Length; i++)
            (extent[i], from[i]) = (shape[axes[i]], strides[axes[i]]);
        var permuted = new Shape(extent[..axes.Length]);
        Strides(permuted, strides);
        CopyStrided(new StridedWalk(permuted, from, strides), P(x), P(y));
    }

    public override void CopyRegion(
        Shape sourceShape, ReadOnlySpan<int> sourceStart, Storage x,
        Shape destinationShape, ReadOnlySpan<int> destinationStart, Storage y, Shape extent)
    {
        Span<int> from = stackalloc int[Shape.MaxRank], to = stackalloc int[Shape.MaxRank];
        Strides(sourceShape, from);
        Strides(destinationShape, to);
        long startX = 0, startY = 0;
        for (int axis = 0; axis < extent.Rank; axis++)
        {
            startX += (long)sourceStart[axis] * from[axis];
            startY += (long)destinationStart[axis] * to[axis];
        }
        CopyStrided(new StridedWalk(extent, from, to), P(x) + startX * sizeof(float), P(y) + startY * sizeof(float));
    }

    public override void Join(int rows, int left, int right, Storage a, Storage b, Storage y) =>
        LaunchElements(_kernels.Kernel("shaping.cu", "shaping_join_b32"), y.Length, rows, left, right, P(a), P(b), P(y));

    public override void Split(int rows, int left, int right, Storage y, Storage a, Storage b) =>
        LaunchElements(_kernels.Kernel("shaping.cu", "shaping_split_b32"), y.Length, rows, left, right, P(y), P(a), P(b));

    private void CopyStrided(in StridedWalk walk, DevicePointer x, DevicePointer y) =>
        LaunchElementsWith(_kernels.Kernel("shaping.cu", "shaping_copy_b32"), walk, walk.Count, x, y);

    /// <summary>Elements between neighbours along each axis of a contiguous array.</summary>
    private static void Strides(Shape shape, Span<int> strides)
    {
        for (int axis = shape.Rank - 1, stride = 1; axis >= 0; stride *= shape[axis--])
            strides[axis] = stride;
    }
}
