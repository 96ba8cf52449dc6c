namespace RawDiffusion.Backends.Cuda.Ladders;

/// <summary>One way of computing an operation, and what it does better than the one before it.</summary>
public sealed record Rung
{
    /// <summary>In small letters with hyphens: <c>shared-tiles</c>.</summary>
    public required string Name { get; init; }

    /// <summary>The operation whose ladder this is a part of; set by <see cref="Ladder"/>.</summary>
    public string Operation { get; internal set; } = "";

    /// <summary>The file of <c>kernels/</c>.</summary>
    public required string File { get; init; }

    /// <summary>The kernel, or the beginning of the names of all that belong to the rung.</summary>
    public required string Kernel { get; init; }

    /// <summary>One sentence: what changed, and why that is faster.</summary>
    public required string What { get; init; }

    /// <summary>What it multiplies in; <see cref="Precision.BFloat16"/> takes bfloat16 storages, the others take float32.</summary>
    public Precision Precision { get; init; } = Precision.Float32;

    /// <summary>The least compute capability that has its instructions, ten times the major number plus the minor: 80 for Ampere.</summary>
    public int MinimumCapability { get; init; } = 75;

    public override string ToString() => $"{Operation} {Name}";
}
