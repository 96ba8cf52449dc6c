using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cuda;

/// <summary>
/// A walk over up to six axes with the element strides of two arrays, axis 0 the fastest: <c>StridedWalk</c> of
/// <c>kernels/common.cuh</c>, field for field. Axes beyond <see cref="Rank"/> are not looked at.
/// </summary>
internal struct StridedWalk
{
    [InlineArray(Shape.MaxRank)]
    public struct Axes
    {
        private int _first;
    }

    public int Rank;
    public int Count;
    public Axes Extent;
    public Axes StrideA;
    public Axes StrideB;

    public StridedWalk(in BroadcastGeometry g)
    {
        (Rank, Count) = (g.Rank, g.Count);
        for (int i = 0; i < g.Rank; i++)
        {
            int axis = g.Rank - 1 - i;
            (Extent[i], StrideA[i], StrideB[i]) = (g.Extent(axis), g.StrideA(axis), g.StrideB(axis));
        }
    }

    /// <summary>All elements of a shape, given axis by axis (the last the fastest); adjacent axes that walk alike in both are merged.</summary>
    public StridedWalk(Shape extent, ReadOnlySpan<int> strideA, ReadOnlySpan<int> strideB)
    {
        Count = extent.Count;
        for (int axis = extent.Rank - 1; axis >= 0; axis--)
        {
            if (extent[axis] == 1)
                continue;
            int last = Rank - 1;
            if (Rank > 0 && strideA[axis] == StrideA[last] * Extent[last] && strideB[axis] == StrideB[last] * Extent[last])
            {
                Extent[last] *= extent[axis];
                continue;
            }
            (Extent[Rank], StrideA[Rank], StrideB[Rank]) = (extent[axis], strideA[axis], strideB[axis]);
            Rank++;
        }
    }

    /// <summary>The same by runs of <paramref name="size"/> elements along axis 0, whose extent is a multiple of it: along it a stride of 1 becomes that of a run, 0 remains.</summary>
    public readonly StridedWalk InPacks(int size)
    {
        var packs = this;
        packs.Count /= size;
        packs.Extent[0] /= size;
        packs.StrideA[0] *= size;
        packs.StrideB[0] *= size;
        return packs;
    }

    /// <summary>The same with runs of <paramref name="size"/> elements as the elements: strides of axis 0 are 1, those of the others and its extent multiples of the size.</summary>
    public readonly StridedWalk InUnits(int size)
    {
        var units = this;
        units.Count /= size;
        units.Extent[0] /= size;
        for (int axis = 1; axis < Rank; axis++)
        {
            units.StrideA[axis] /= size;
            units.StrideB[axis] /= size;
        }
        return units;
    }
}
