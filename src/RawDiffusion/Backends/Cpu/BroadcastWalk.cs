using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// A position in the output of a <see cref="BroadcastGeometry"/> and the offsets of both inputs there, moved row by row
/// (a row is the fastest axis). Starting somewhere costs a division per axis, going on an addition.
/// </summary>
internal struct BroadcastWalk
{
    [InlineArray(Shape.MaxRank)]
    private struct Coordinates
    {
        private int _first;
    }

    private readonly BroadcastGeometry _g;
    private Coordinates _at;

    public BroadcastWalk(in BroadcastGeometry g, int start)
    {
        _g = g;
        for (int axis = g.Rank - 1; axis >= 0; axis--)
        {
            (start, int coordinate) = Math.DivRem(start, g.Extent(axis));
            _at[axis] = coordinate;
            OffsetA += coordinate * g.StrideA(axis);
            OffsetB += coordinate * g.StrideB(axis);
        }
    }

    public int OffsetA { get; private set; }

    public int OffsetB { get; private set; }

    /// <summary>Elements from here to the end of the row.</summary>
    public readonly int LeftInRow => _g.Extent(_g.Rank - 1) - _at[_g.Rank - 1];

    /// <summary>Goes to the start of the next row.</summary>
    public void NextRow()
    {
        int last = _g.Rank - 1;
        Move(last, -_at[last]);
        for (int axis = last - 1; axis >= 0; axis--)
        {
            Move(axis, 1);
            if (_at[axis] < _g.Extent(axis))
                return;
            Move(axis, -_at[axis]);
        }
    }

    /// <summary>Copies the next <paramref name="count"/> elements of the first input to a contiguous block.</summary>
    public unsafe void GatherA(float* x, float* block, int count)
    {
        int step = _g.StrideA(_g.Rank - 1);
        while (count > 0)
        {
            int n = Math.Min(count, LeftInRow);
            float* from = x + OffsetA;
            for (int i = 0; i < n; i++)
                block[i] = from[i * step];
            block += n;
            count -= n;
            Advance(n);
        }
    }

    /// <summary>Copies the next <paramref name="count"/> elements of the second input to a contiguous block.</summary>
    public unsafe void GatherB(float* y, float* block, int count)
    {
        int step = _g.StrideB(_g.Rank - 1);
        while (count > 0)
        {
            int n = Math.Min(count, LeftInRow);
            float* from = y + OffsetB;
            for (int i = 0; i < n; i++)
                block[i] = from[i * step];
            block += n;
            count -= n;
            Advance(n);
        }
    }

    /// <summary>About <paramref name="elements"/> outputs, in whole rows where rows are short: a piece of a parallel loop.</summary>
    public static int Grain(in BroadcastGeometry g, int elements)
    {
        int row = g.Extent(g.Rank - 1);
        return row >= elements || row == 0 ? elements : elements - elements % row;
    }

    private void Advance(int count)
    {
        int last = _g.Rank - 1;
        if (_at[last] + count == _g.Extent(last))
            NextRow();
        else
            Move(last, count);
    }

    private void Move(int axis, int steps)
    {
        _at[axis] += steps;
        OffsetA += steps * _g.StrideA(axis);
        OffsetB += steps * _g.StrideB(axis);
    }
}
