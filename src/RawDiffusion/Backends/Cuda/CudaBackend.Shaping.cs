using System.Numerics;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private static readonly UnitSlots s_copy = new("shaping.cu", "shaping_copy");
    private static readonly UnitSlots s_join = new("shaping.cu", "shaping_join");
    private static readonly UnitSlots s_split = new("shaping.cu", "shaping_split");
    private static readonly UnitSlots s_transpose = new("shaping.cu", "shaping_transpose");
    private static readonly KernelSlot s_transposePairs = new("shaping.cu", "shaping_transpose_pairs_b16") { IsTyped = false };

    /// <summary>A kernel that moves units of so many bytes, whatever they are.</summary>
    private sealed class UnitSlots(string file, string name)
    {
        private readonly KernelSlot _b16 = Slot(file, $"{name}_b16"), _b32 = Slot(file, $"{name}_b32"), _b128 = Slot(file, $"{name}_b128");

        public KernelSlot this[int bytes] => bytes switch { 2 => _b16, 4 => _b32, _ => _b128 };

        private static KernelSlot Slot(string file, string name) => new(file, name) { IsTyped = false };
    }

    public override void Permute(Shape shape, ReadOnlySpan<int> axes, Storage x, Storage y)
    {
        if (y.Length == 0)
            return;
        Span<int> strides = stackalloc int[Shape.MaxRank], extent = stackalloc int[Shape.MaxRank], from = stackalloc int[Shape.MaxRank];
        Strides(shape, strides);
        for (int i = 0; i < axes.Length; i++)
            (extent[i], from[i]) = (shape[axes[i]], strides[axes[i]]);
        var permuted = new Shape(extent[..axes.Length]);
        Strides(permuted, strides);
        var walk = new StridedWalk(permuted, from, strides);
        var rung = Chosen(ShapingLadders.Permute);
        bool tiled = rung is null ? Transposed.Pays(walk) : rung == ShapingLadders.Tiled;
        if (!tiled)
            CopyStrided(walk, P(x), P(y), y.DType.Size());
        else if (Transposed.CanBe(walk))
            Transpose(new Transposed(walk), P(x), P(y), y.DType.Size());
        else
            throw new NotSupportedException($"{rung} needs a last axis that moves; permuting {shape} by ({string.Join(", ", axes.ToArray())}) copies it along.");
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
        int size = y.DType.Size();
        CopyStrided(new StridedWalk(extent, from, to), P(x) + startX * size, P(y) + startY * size, size);
    }

    public override void Join(int rows, int left, int right, Storage a, Storage b, Storage y)
    {
        int size = y.DType.Size(), unit = UnitOf(P(a), P(b), P(y).Address | (ulong)((long)left * size) | (ulong)((long)right * size));
        LaunchElements(_kernels[s_join[unit]], (int)((long)y.Length * size / unit), rows, left * size / unit, right * size / unit, P(a), P(b), P(y));
    }

    public override void Split(int rows, int left, int right, Storage y, Storage a, Storage b)
    {
        int size = y.DType.Size(), unit = UnitOf(P(a), P(b), P(y).Address | (ulong)((long)left * size) | (ulong)((long)right * size));
        LaunchElements(_kernels[s_split[unit]], (int)((long)y.Length * size / unit), rows, left * size / unit, right * size / unit, P(y), P(a), P(b));
    }

    /// <param name="size">Bytes of an element.</param>
    private void CopyStrided(in StridedWalk walk, DevicePointer x, DevicePointer y, int size)
    {
        int unit = size;
        if (walk.Rank > 0 && walk.StrideA[0] == 1 && walk.StrideB[0] == 1)
        {
            // Everything that the beginning of a run is made of.
            ulong multiples = (ulong)walk.Extent[0] * (ulong)size;
            for (int axis = 1; axis < walk.Rank; axis++)
                multiples |= (ulong)((long)walk.StrideA[axis] * size) | (ulong)((long)walk.StrideB[axis] * size);
            unit = UnitOf(x, y, multiples);
        }
        var units = unit == size ? walk : walk.InUnits(unit / size);
        LaunchElementsWith(_kernels[s_copy[unit]], units, units.Count, x, y);
    }

    private void Transpose(in Transposed t, DevicePointer x, DevicePointer y, int size)
    {
        bool pairs = size == 2 && t.IsInPairs && ((x.Address | y.Address) & 3) == 0;
        long blocks = t.Blocks(pairs ? 64 : 32);
        if (blocks > 0)
            _kernels[pairs ? s_transposePairs : s_transpose[size]].LaunchWith(t, checked((int)blocks), (32, 8), 0, x, y);
    }

    /// <summary>The largest of 16, 4 and 2 bytes that both addresses and <paramref name="multiples"/>, an or of lengths and addresses, are multiples of.</summary>
    private static int UnitOf(DevicePointer x, DevicePointer y, ulong multiples) => BitOperations.TrailingZeroCount(x.Address | y.Address | multiples) switch
    {
        >= 4 => 16,
        >= 2 => 4,
        _ => 2,
    };

    /// <summary>Elements between neighbours along each axis of a contiguous array.</summary>
    private static void Strides(Shape shape, Span<int> strides)
    {
        for (int axis = shape.Rank - 1, stride = 1; axis >= 0; stride *= shape[axis--])
            strides[axis] = stride;
    }
}
