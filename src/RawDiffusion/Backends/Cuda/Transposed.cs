namespace RawDiffusion.Backends.Cuda;

/// <summary>
/// A permute that moves the last axis, as transposes of matrices: rows are the last axis of y, columns that of x, and the other axes number
/// the matrices. <c>Transposed</c> of <c>kernels/shaping.cu</c>, field for field.
/// </summary>
internal struct Transposed
{
    /// <summary>Rows and columns from which on a tile is better than a walk: 32 bytes of a row are a whole sector.</summary>
    private const int LeastExtent = 8;

    /// <summary>Over the matrices.</summary>
    public StridedWalk Matrices;
    public int Rows;
    public int Columns;
    public int StrideX;
    public int StrideY;

    public Transposed(in StridedWalk walk)
    {
        int across = ColumnAxis(walk);
        (Rows, StrideX) = (walk.Extent[0], walk.StrideA[0]);
        (Columns, StrideY) = (walk.Extent[across], walk.StrideB[across]);
        Matrices.Count = 1;
        for (int axis = 1; axis < walk.Rank; axis++)
        {
            if (axis == across)
                continue;
            int at = Matrices.Rank++;
            (Matrices.Extent[at], Matrices.StrideA[at], Matrices.StrideB[at]) = (walk.Extent[axis], walk.StrideA[axis], walk.StrideB[axis]);
            Matrices.Count *= walk.Extent[axis];
        }
    }

    /// <summary>Whether pairs of elements begin at even places on both sides.</summary>
    public readonly bool IsInPairs
    {
        get
        {
            int all = Rows | Columns | StrideX | StrideY;
            for (int axis = 0; axis < Matrices.Rank; axis++)
                all |= Matrices.StrideA[axis] | Matrices.StrideB[axis];
            return all % 2 == 0;
        }
    }

    /// <summary>Whether y's last axis is not x's. The walk of a permute goes along y.</summary>
    public static bool CanBe(in StridedWalk walk) => ColumnAxis(walk) > 0;

    public static bool Pays(in StridedWalk walk) =>
        ColumnAxis(walk) is > 0 and var across && walk.Extent[0] >= LeastExtent && walk.Extent[across] >= LeastExtent;

    /// <summary>Tiles of all matrices.</summary>
    public readonly long Blocks(int tile) => Matrices.Count * (long)((Rows + tile - 1) / tile) * ((Columns + tile - 1) / tile);

    /// <summary>The axis along which x has neighbours; 0 where that is y's own, -1 where there is nothing to walk.</summary>
    private static int ColumnAxis(in StridedWalk walk)
    {
        for (int axis = 0; axis < walk.Rank; axis++)
        {
            if (walk.StrideA[axis] == 1)
                return axis;
        }
        return -1;
    }
}
