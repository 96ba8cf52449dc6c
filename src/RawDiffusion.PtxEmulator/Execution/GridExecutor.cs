namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Runs all blocks of a launch.</summary>
public static class GridExecutor
{
    /// <summary>Runs to completion, blocks in parallel.</summary>
    /// <exception cref="Checks.EmulationFaultException">The kernel was stopped; other blocks may have run or not.</exception>
    /// <exception cref="NotSupportedException">An instruction that the emulator does not execute; nothing has run.</exception>
    public static void Run(KernelLaunch launch)
    {
        foreach (ref readonly Decoding.Instruction instruction in launch.Kernel.Kernel.Code.AsSpan())
            throw new NotSupportedException($"{launch.Kernel.Kernel.Name}: {instruction.Opcode} is not executed.");
    }
}
