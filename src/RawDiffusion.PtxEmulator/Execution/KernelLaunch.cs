using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>One launch of a kernel, to be run to its end by <see cref="GridExecutor.Run"/>.</summary>
/// <param name="Kernel">Linked: its module's variables have addresses.</param>
/// <param name="DynamicShared">Bytes of dynamic shared memory per block.</param>
/// <param name="Parameters">The block of parameters, <see cref="DecodedKernel.ParameterBytes"/> long.</param>
public sealed record KernelLaunch(
    LinkedKernel Kernel, Dim3 Grid, Dim3 Block, int DynamicShared, byte[] Parameters, MemorySpace Memory, LaunchOptions Options);

/// <summary>A kernel whose references to variables of its module are resolved.</summary>
/// <param name="Kernel">Shared by all that link it.</param>
/// <param name="VariableAddresses">Device address of each of <see cref="DecodedModule.Variables"/>.</param>
public sealed record LinkedKernel(DecodedKernel Kernel, ulong[] VariableAddresses);

public enum ExecutionMode
{
    /// <summary>Bounds and alignment of global memory are tested, for the process must survive; nothing else.</summary>
    Unchecked,

    /// <summary>Every hazard that <see cref="Checks.HazardKind"/> lists.</summary>
    Checked,

    /// <summary>Unchecked, and <see cref="LaunchOptions.Counters"/> is filled.</summary>
    Counted,
}

/// <summary>Which generation's tensor cores mma follows.</summary>
public enum TensorCoreGeneration { Ampere, Hopper }

public sealed record LaunchOptions
{
    public static LaunchOptions Default { get; } = new();

    public ExecutionMode Mode { get; init; } = ExecutionMode.Unchecked;

    /// <summary>Shuffles the order of blocks, and of warps between barriers; null: ascending order.</summary>
    public ulong? ScheduleSeed { get; init; }

    /// <summary>Moves results of .approx instructions within their documented errors, the same way in every run; null: correctly rounded.</summary>
    public ulong? ApproximationSeed { get; init; }

    /// <summary>Instructions that one block may execute, counted by warps, before it is taken for an infinite loop.</summary>
    public long InstructionBudget { get; init; } = 500_000_000;

    /// <summary>Threads of this process that execute blocks; 0: one per processor.</summary>
    public int Workers { get; init; }

    public TensorCoreGeneration TensorCores { get; init; } = TensorCoreGeneration.Ampere;

    /// <summary>Receives what kernels print, formatted, a printf of one thread at a time; null: dropped.</summary>
    public Action<string>? Output { get; init; }

    /// <summary>Where counted launches add what they did; required in <see cref="ExecutionMode.Counted"/>.</summary>
    public Counters.KernelCounters? Counters { get; init; }
}
