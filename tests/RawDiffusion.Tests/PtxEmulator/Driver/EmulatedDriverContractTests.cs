using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>The contract of drivers, asked of the emulator in checked mode.</summary>
public sealed class EmulatedDriverContractTests : CudaDriverContract
{
    protected override CudaDriver Open() => new EmulatedCudaDriver(new EmulatorOptions { Mode = ExecutionMode.Checked });
}

/// <summary>The contract, asked of the emulator as it is for those who only want results, with blocks and warps in another order.</summary>
public sealed class UncheckedEmulatedDriverContractTests : CudaDriverContract
{
    protected override CudaDriver Open() => new EmulatedCudaDriver(new EmulatorOptions { ComputeCapability = 90, ScheduleSeed = 3 });
}
