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

    /// <summary>Rows from this one to the end of the second fastest axis.</summary>
    public readonly int LeftInPlane => _g.Extent(_g.Rank - 2) - _at[_g.Rank - 2];

    /// <summary>Goes to the start of the next row.</summary>
    public void NextRow()
    {
        Move(_g.Rank - 1, -_at[_g.Rank - 1]);
        NextRows(1);
    }

    /// <summary>Goes on by rows, at most to the end of the second fastest axis.</summary>
    public void NextRows(int rows)
    {
        int step = rows;
        for (int axis = _g.Rank - 2; axis >= 0; axis--)
        {
            Move(axis, step);
            if (_at[axis] < _g.Extent(axis))
                return;
            Move(axis, -_at[axis]);
            step = 1;
        }
    }

    /// <summary>About <paramref name="elements"/> outputs, in whole rows where rows are short: a piece of a parallel loop.</summary>
    public static int Grain(in BroadcastGeometry g, int elements)
    {
        int row = g.Extent(g.Rank - 1);
        return row >= elements || row == 0 ? elements : elements - elements % row;
    }

    private void Move(int axis, int steps)
    {
        _at[axis] += steps;
        OffsetA += steps * _g.StrideA(axis);
        OffsetB += steps * _g.StrideB(axis);
    }
}
