using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

/// <summary>
/// The tile of a product C = A B that one block makes, see <c>kernels/tiles.cuh</c>: it is part of the names of the kernels. Thin
/// products have tiles of their own, since a thread works for elements beyond the border as it does for others.
/// </summary>
internal readonly record struct ProductTile(int Rows, int Columns)
{
    private const int Thin = 16, Wide = 64;

    /// <summary>Every thread makes 4 x 4 elements.</summary>
    public int Threads => Rows * Columns / 16;

    /// <summary>The tile for a C of this size.</summary>
    public static ProductTile For(int rows, int columns) => columns <= Thin ? new(Wide, Thin) : rows <= Thin ? new(Thin, Wide) : new(Wide, Wide);

    /// <summary>Blocks for <paramref name="products"/> products of this size.</summary>
    public long Blocks(long products, int rows, int columns) => products * (((long)rows + Rows - 1) / Rows) * (((long)columns + Columns - 1) / Columns);

    public override string ToString() => $"{Rows}x{Columns}";
}

public partial class CudaBackend
{
    /// <summary>Queues a kernel that makes products by tiles; nothing where they have no elements.</summary>
    private void LaunchProduct<T>(
        string file, string name, in T geometry, ProductTile tile, long products, int rows, int columns, params ReadOnlySpan<KernelArg> rest)
        where T : unmanaged
    {
        long blocks = tile.Blocks(products, rows, columns);
        if (blocks > 0)
            _kernels.Kernel(file, name).LaunchWith(geometry, checked((int)blocks), tile.Threads, 0, rest);
    }
}
