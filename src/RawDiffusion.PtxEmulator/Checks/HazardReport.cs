using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.PtxEmulator.Checks;

public enum HazardKind
{
    OutOfBounds, Misaligned, UseAfterFree, WriteToConstant, UninitializedRead, Race, DivergentBarrier, BarrierNeverCompleted,
    InvalidMemberMask, InstructionBudget, Deadlock, Trap, Assertion, DivisionUndefined, InvalidOperand,
}

/// <summary>One thread's part in a hazard.</summary>
/// <param name="Line">The place in the CUDA source with the calls through which it came there; null where the compiler named none.</param>
/// <param name="Instruction">The line of the PTX text and what stands there.</param>
/// <param name="What">The access or instruction: <c>write of 4 bytes</c>.</param>
public sealed record HazardParty(Dim3 Block, Dim3 Thread, SourceLine? Line, string Instruction, string What)
{
    /// <summary>A thread by its linear index in a block by its linear index in the grid, at an instruction.</summary>
    public static HazardParty Of(KernelLaunch launch, long block, int thread, int pc, string what)
    {
        var kernel = launch.Kernel.Kernel;
        var (grid, size) = (launch.Grid, launch.Block);
        int line = kernel.Code[pc].Line;
        return new HazardParty(
            new Dim3((int)(block % grid.X), (int)(block / grid.X % grid.Y), (int)(block / grid.X / grid.Y)),
            new Dim3(thread % size.X, thread / size.X % size.Y, thread / size.X / size.Y),
            line >= 0 ? kernel.Lines[line] : null, kernel.DescribePtx(pc), what);
    }
}

/// <summary>What a kernel did wrong, with everything that is needed to find it.</summary>
public sealed record HazardReport
{
    public required HazardKind Kind { get; init; }

    public required string Kernel { get; init; }

    /// <summary>One thread, or both of a race, or some of those that missed a barrier.</summary>
    public required IReadOnlyList<HazardParty> Parties { get; init; }

    public required string Message { get; init; }

    public StateSpace Space { get; init; }

    public ulong? Address { get; init; }

    /// <summary>What is at or near the address.</summary>
    public string? Allocation { get; init; }

    public override string ToString()
    {
        var text = new System.Text.StringBuilder($"{Message}, in kernel {SourceNames.Of(Kernel)}");
        if (Address is ulong address)
            text.Append($"\n  at address 0x{address:x}").Append(Allocation is null ? "" : $": {Allocation}");
        foreach (var party in Parties)
        {
            text.Append($"\n  {party.What} by thread {party.Thread} of block {party.Block}");
            if (party.Line is not null)
                text.Append($"\n    {party.Line}");
            text.Append($"\n    {party.Instruction}");
        }
        return text.Append('\n').ToString();
    }
}

/// <summary>A kernel was stopped because it did something that CUDA does not define, or trapped.</summary>
public sealed class EmulationFaultException(HazardReport report) : Exception(report.ToString())
{
    public HazardReport Report { get; } = report;
}
