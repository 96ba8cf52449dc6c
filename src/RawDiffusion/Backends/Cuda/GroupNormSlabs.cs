using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

/// <summary>How a group norm is spread over blocks: <c>groupnorm.cu</c> says what a slab is. Decided by shape and type alone, as bits depend on it.</summary>
/// <param name="Grid">Slabs of all samples, and parts of their pixels.</param>
/// <param name="Block">Packs of 16 bytes of a pixel, and pixels.</param>
internal readonly record struct GroupNormSlabs(Dim3 Grid, Dim3 Block)
{
    private const int PackBytes = 16, MaxThreads = 512, FewThreads = 128, Warp = 32;

    /// <summary>Threads of blocks of which a multiprocessor has several, so that one loads while another computes.</summary>
    private const int GoodThreads = 256;

    /// <summary>A pixel's share of a slab: at most a line of the cache, at least a sector.</summary>
    private const int LineBytes = 128, SectorBytes = 32;

    /// <summary>Blocks that fill a large GPU several times over.</summary>
    private const int EnoughBlocks = 528;

    public int Parts => Grid.Y;

    /// <summary>All pixels of a sample in one slab, or null where registers do not hold them.</summary>
    /// <param name="packs">How many a thread may hold.</param>
    public static GroupNormSlabs? Whole(in GroupNormGeometry g, DType type, int packs)
    {
        if (FewestPacks(g, type) is not { } unit)
            return null;
        GroupNormSlabs? chosen = null;
        int all = g.Channels * type.Size() / PackBytes;
        for (int pixelPacks = unit; IsRow(g, type, unit, pixelPacks); pixelPacks += unit)
        {
            int threads = CeilDiv(g.Spatial, packs) * pixelPacks;
            // Less than a sector would be moved for nothing where there is more.
            if (all % pixelPacks != 0 || threads > MaxThreads || pixelPacks * PackBytes < Math.Min(SectorBytes, all * PackBytes))
                continue;
            // The longest run of bytes that leaves blocks small.
            if (chosen is null || threads <= GoodThreads)
                chosen = Make(g, type, pixelPacks, packs, 1);
        }
        return chosen;
    }

    /// <summary>Pixels in parts, as many as a thread's registers or a GPU's multiprocessors ask for; null where a pixel of a group is no slab.</summary>
    public static GroupNormSlabs? Split(in GroupNormGeometry g, DType type, int packs)
    {
        if (FewestPacks(g, type) is not { } unit)
            return null;
        int pixelPacks = unit, all = g.Channels * type.Size() / PackBytes;
        for (int next = unit; IsRow(g, type, unit, next); next += unit)
            pixelPacks = all % next == 0 ? next : pixelPacks;
        int pixels = Math.Max(1, GoodThreads / pixelPacks), slabs = g.Batch * (all / pixelPacks);
        int fewest = CeilDiv(g.Spatial, packs * pixels), most = Math.Max(fewest, CeilDiv(g.Spatial, pixels));
        int parts = Math.Clamp(CeilDiv(EnoughBlocks, slabs), fewest, most);
        // No part is empty.
        parts = CeilDiv(g.Spatial, CeilDiv(g.Spatial, parts));
        return parts > ushort.MaxValue ? null : Make(g, type, pixelPacks, packs, parts);
    }

    private static GroupNormSlabs Make(in GroupNormGeometry g, DType type, int pixelPacks, int packs, int parts)
    {
        int inPart = CeilDiv(g.Spatial, parts);
        int pixels = Math.Max(CeilDiv(inPart, packs), Math.Min(inPart, FewThreads / pixelPacks));
        pixels = Math.Max(pixels, CeilDiv(Warp, pixelPacks));
        return new((g.Batch * (g.Channels * type.Size() / PackBytes / pixelPacks), parts), (pixelPacks, pixels));
    }

    /// <summary>Packs of the fewest whole groups that are whole packs, or null where there are none or they are too many for a block.</summary>
    private static int? FewestPacks(in GroupNormGeometry g, DType type)
    {
        int width = PackBytes / type.Size(), groupWidth = g.Channels / g.Groups;
        if (g.Spatial == 0 || g.Channels % width != 0)
            return null;
        int packs = groupWidth;
        for (int times = 1; times < width && packs % width != 0; times++)
            packs += groupWidth;
        return packs / width <= GoodThreads ? packs / width : null;
    }

    /// <summary>Whether a slab may have so many packs of a pixel.</summary>
    private static bool IsRow(in GroupNormGeometry g, DType type, int unit, int pixelPacks) =>
        pixelPacks * PackBytes <= g.Channels * type.Size() && (pixelPacks == unit || pixelPacks * PackBytes <= LineBytes);

    private static int CeilDiv(int x, int y) => (x + y - 1) / y;
}
