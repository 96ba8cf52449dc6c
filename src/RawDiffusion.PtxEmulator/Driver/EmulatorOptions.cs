using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>What kind of device is emulated, and how.</summary>
public sealed record EmulatorOptions
{
    public static EmulatorOptions Default { get; } = new();

    /// <summary>What kernels are watched for.</summary>
    public ExecutionMode Mode { get; init; } = ExecutionMode.Unchecked;

    /// <summary>Ten times the major number plus the minor: 75 (with the limits of a T4), 80 (A100) or 90 (H100).</summary>
    public int ComputeCapability { get; init; } = 80;

    /// <summary>Bytes of device memory.</summary>
    public long MemoryBytes { get; init; } = 4L << 30;

    /// <summary>Shuffles the order of blocks and warps; null: ascending order.</summary>
    public ulong? ScheduleSeed { get; init; }

    /// <summary>Moves results of .approx instructions within their documented errors; null: correctly rounded.</summary>
    public ulong? ApproximationSeed { get; init; }

    /// <summary>Instructions that one block may execute, counted by warps, before it is taken for an infinite loop.</summary>
    public long InstructionBudget { get; init; } = LaunchOptions.Default.InstructionBudget;

    /// <summary>Threads of this process that execute blocks; 0: one per processor.</summary>
    public int Workers { get; init; }

    /// <summary>Where kernels print to; null: nowhere.</summary>
    public TextWriter? Output { get; init; }
}
