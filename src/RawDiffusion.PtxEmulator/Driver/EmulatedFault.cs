using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>A kernel, or a copy, did what the emulator's report says; the message contains it. The context is lost, as on a GPU.</summary>
public sealed class EmulatedFaultException(string call, HazardReport report, LaunchDimensions? launch)
    : CudaException(call, ResultOf(report.Kind), report.ToString(), report.Kernel, launch)
{
    public HazardReport Report { get; } = report;

    /// <summary>The error that a GPU gives for the same; where it would not have noticed, CUDA_ERROR_LAUNCH_FAILED.</summary>
    private static CudaResult ResultOf(HazardKind kind) => kind switch
    {
        HazardKind.OutOfBounds or HazardKind.UseAfterFree or HazardKind.WriteToConstant => CudaResult.IllegalAddress,
        HazardKind.Misaligned => CudaResult.MisalignedAddress,
        HazardKind.InstructionBudget or HazardKind.Deadlock or HazardKind.BarrierNeverCompleted => CudaResult.LaunchTimeout,
        HazardKind.Assertion => CudaResult.Assert,
        _ => CudaResult.LaunchFailed,
    };
}
