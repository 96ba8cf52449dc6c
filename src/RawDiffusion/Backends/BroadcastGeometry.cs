using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends;

/// <summary>
/// An elementwise walk over an output of up to six axes with the element strides of two inputs (0 along a repeated axis).
/// Adjacent axes that walk alike are merged, so equal shapes give one axis with strides (1, 1).
/// </summary>
public readonly struct BroadcastGeometry
{
    [InlineArray(Shape.MaxRank)]
    private struct Axes
    {
        private int _first;
    }

    private readonly Axes _extents;
    private readonly Axes _stridesA;
    private readonly Axes _stridesB;

    /// <summary>Axes after merging, at least 1.</summary>
    public int Rank { get; }

    /// <summary>Number of output elements.</summary>
    public int Count { get; }

    public BroadcastGeometry(Shape output, Shape a, Shape b)
    {
        Count = output.Count;
        int rank = 0;
        int strideA = 1, strideB = 1;
        // From the last axis to the first; slot 0 of the merged axes is the fastest until they are reversed below.
        for (int i = output.Rank - 1; i >= 0; i--)
        {
            int fromEnd = output.Rank - i;
            int extentA = fromEnd <= a.Rank ? a[a.Rank - fromEnd] : 1;
            int extentB = fromEnd <= b.Rank ? b[b.Rank - fromEnd] : 1;
            int extent = output[i];
            int stepA = extentA == 1 ? 0 : strideA, stepB = extentB == 1 ? 0 : strideB;
            strideA *= extentA;
            strideB *= extentB;
            if (extent == 1)
                continue;
            if (rank > 0 && stepA == _stridesA[rank - 1] * _extents[rank - 1] && stepB == _stridesB[rank - 1] * _extents[rank - 1])
            {
                _extents[rank - 1] *= extent;
                continue;
            }
            _extents[rank] = extent;
            _stridesA[rank] = stepA;
            _stridesB[rank] = stepB;
            rank++;
        }
        if (rank == 0)
        {
            _extents[0] = 1;
            rank = 1;
        }
        for (int i = 0, j = rank - 1; i < j; i++, j--)
        {
            (_extents[i], _extents[j]) = (_extents[j], _extents[i]);
            (_stridesA[i], _stridesA[j]) = (_stridesA[j], _stridesA[i]);
            (_stridesB[i], _stridesB[j]) = (_stridesB[j], _stridesB[i]);
        }
        Rank = rank;
    }

    /// <summary>Extent of a merged axis; axis <see cref="Rank"/> - 1 is the fastest.</summary>
    public int Extent(int axis) => _extents[axis];

    public int StrideA(int axis) => _stridesA[axis];

    public int StrideB(int axis) => _stridesB[axis];
}
