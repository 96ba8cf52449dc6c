namespace RawDiffusion.Backends.Cuda.Ladders;

/// <summary>Two ways to permute: the classical example of coalescing and of bank conflicts avoided.</summary>
public static class ShapingLadders
{
    public static Rung Naive { get; } = new()
    {
        Name = "naive",
        File = "shaping.cu",
        Kernel = "shaping_copy",
        What = "A thread for each element of the result, so that writes are coalesced and reads of a moved last axis are not: 32 sectors of 32 bytes for 128 bytes.",
    };

    public static Rung Tiled { get; } = new()
    {
        Name = "tiled",
        File = "shaping.cu",
        Kernel = "shaping_transpose",
        What = "Tiles go through padded shared memory, read along one axis and written along the other, so both sides have 4 sectors a request and no bank conflicts.",
    };

    public static Ladder Permute { get; } = new("permute", Naive, Tiled);
}
