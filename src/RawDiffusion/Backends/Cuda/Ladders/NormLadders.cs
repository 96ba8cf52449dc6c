namespace RawDiffusion.Backends.Cuda.Ladders;

/// <summary>Group norm, alone and with SiLU. Rungs are in the order of <see cref="GroupNormWay"/>.</summary>
internal static class NormLadders
{
    public static Ladder GroupNorm { get; } = Make("groupNorm");

    public static Ladder GroupNormSilu { get; } = Make("groupNormSilu");

    public static IReadOnlyList<Ladder> All { get; } = [GroupNorm, GroupNormSilu];

    /// <summary>Which of a ladder's rungs this is.</summary>
    public static GroupNormWay WayOf(Ladder ladder, Rung rung)
    {
        int way = 0;
        while (!ReferenceEquals(ladder.Rungs[way], rung))
            way++;
        return (GroupNormWay)way;
    }

    private static Ladder Make(string operation) => new(
        operation,
        new Rung
        {
            Name = "naive",
            File = "groupnorm_naive.cu",
            Kernel = "groupnorm_naive",
            What = "A block for each group, which reads its values three times, one by one: of every pixel only the few channels of the group, so that sectors are moved in part.",
        },
        new Rung
        {
            Name = "split",
            File = "groupnorm.cu",
            Kernel = "groupnorm_split",
            What = "A block takes neighbouring groups together, whole cache lines of 16-byte packs, for a part of the pixels; statistics of parts are joined, and x is read only twice, by as many blocks as a GPU holds.",
        },
        new Rung
        {
            Name = "one-pass",
            File = "groupnorm.cu",
            Kernel = "groupnorm_whole",
            What = "A block holds all pixels of its groups in registers, so that statistics and result come from one reading of x.",
        });
}

/// <summary>How a group norm is computed.</summary>
internal enum GroupNormWay
{
    Naive,
    Split,
    OnePass,
}
