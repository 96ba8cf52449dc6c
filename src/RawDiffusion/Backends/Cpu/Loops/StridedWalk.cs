using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// A walk over a box of up to six axes with an offset into two arrays. Adjacent axes that walk alike in both are merged as they
/// are added, so plain copies become one long axis.
/// </summary>
internal struct StridedWalk
{
    [InlineArray(Shape.MaxRank)]
    private struct Axes
    {
        private int _first;
    }

    private Axes _extents, _stridesA, _stridesB, _at;

    /// <summary>Number of axes after merging; axis 0 is the fastest.</summary>
    public int Rank { get; private set; }

    /// <summary>Offset into the first array of the element the walk is at.</summary>
    public int A { get; private set; }

    /// <summary>Offset into the second array.</summary>
    public int B { get; private set; }

    public readonly int Extent(int axis) => _extents[axis];

    public readonly int StrideA(int axis) => _stridesA[axis];

    public readonly int StrideB(int axis) => _stridesB[axis];

    /// <summary>Number of steps: the product of the extents.</summary>
    public readonly int Count
    {
        get
        {
            int count = 1;
            for (int i = 0; i < Rank; i++)
                count *= _extents[i];
            return count;
        }
    }

    /// <summary>Adds the next slower axis.</summary>
    public void Add(int extent, int strideA, int strideB)
    {
        if (extent == 1)
            return;
        int last = Rank - 1;
        if (last >= 0 && strideA == _stridesA[last] * _extents[last] && strideB == _stridesB[last] * _extents[last])
        {
            _extents[last] *= extent;
            return;
        }
        _extents[Rank] = extent;
        _stridesA[Rank] = strideA;
        _stridesB[Rank] = strideB;
        Rank++;
    }

    /// <summary>Takes an axis out: the caller loops over it itself.</summary>
    public void Remove(int axis)
    {
        Rank--;
        for (int i = axis; i < Rank; i++)
        {
            _extents[i] = _extents[i + 1];
            _stridesA[i] = _stridesA[i + 1];
            _stridesB[i] = _stridesB[i + 1];
        }
    }

    /// <summary>Goes to step <paramref name="index"/> of the walk.</summary>
    public void Seek(int index)
    {
        A = B = 0;
        for (int i = 0; i < Rank; i++)
        {
            int at = index % _extents[i];
            index /= _extents[i];
            _at[i] = at;
            A += at * _stridesA[i];
            B += at * _stridesB[i];
        }
    }

    /// <summary>One step on; after the last step, back to the first.</summary>
    public void Next()
    {
        for (int i = 0; i < Rank; i++)
        {
            A += _stridesA[i];
            B += _stridesB[i];
            if (++_at[i] < _extents[i])
                return;
            A -= _extents[i] * _stridesA[i];
            B -= _extents[i] * _stridesB[i];
            _at[i] = 0;
        }
    }
}
