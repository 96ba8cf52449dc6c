using RawDiffusion.Backends.Cuda;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// Every row of the table of operations by the kernels of the Cuda backend, forward and gradients, with the tolerances that the Cpu
/// device has; the emulator watches every access, race and barrier. Run one operation with <c>--filter "DisplayName~conv2d"</c>.
/// The other ways to run the table have classes of their own below: classes run side by side.
/// </summary>
public class EmulatedTableTests
{
    public static TheoryData<string> All => OperationTableTests.All;

    [SkippableTheory]
    [MemberData(nameof(All))]
    public void KernelsAgreeWithReference(string name) =>
        Check.Passes(CaseVerifier.CompareWithReference(OperationTableTests.Case(name), Emulated.Plain.Device));

    /// <summary>What is compiled for a GPU of 2018 and of 2022 computes the same; one row of each operation.</summary>
    [SkippableTheory]
    [InlineData(75)]
    [InlineData(90)]
    public void KernelsAgreeWithReferenceOnOtherArchitectures(int computeCapability)
    {
        TestNvrtc.Require();
        using var device = new Emulated(computeCapability: computeCapability).New();
        foreach (var row in OperationTable.All.GroupBy(row => row.Operation).Select(rows => rows.First()))
            Check.Passes(CaseVerifier.CompareWithReference(row, device));
    }
}

/// <summary>The table in the other precisions, with their tolerances.</summary>
public class EmulatedPrecisionTests
{
    // Not the plain one: a device does one thing at a time.
    private static readonly Emulated s_emulated = new();
    private static readonly Lazy<CudaBackend> s_tf32 = new(() =>
    {
        TestNvrtc.Require();
        var device = new Emulated().New();
        device.AllowTf32 = true;
        return device;
    });

    public static TheoryData<string> InBFloat16 => OperationTableTests.InBFloat16;

    public static TheoryData<string> Products => OperationTableTests.Products;

    /// <summary>1.6e-2 relative, PyTorch's tolerance for bfloat16; what belongs to layers, and its gradients, stay float32.</summary>
    [SkippableTheory]
    [MemberData(nameof(InBFloat16))]
    public void KernelsAgreeWithReferenceInBFloat16(string name) =>
        Check.Passes(CaseVerifier.CompareWithReference(OperationTableTests.Case(name), s_emulated.Device, Precision.BFloat16));

    [SkippableTheory]
    [MemberData(nameof(Products))]
    public void TensorCoresAgreeWithReferenceInTf32(string name) =>
        Check.Passes(CaseVerifier.CompareWithReference(OperationTableTests.Case(name), s_tf32.Value, Precision.Tf32));
}

/// <summary>The table with blocks and warps in other orders than their numbers'.</summary>
public class EmulatedOrderTests
{
    private static readonly Emulated s_plain = new();
    private static readonly Emulated[] s_shuffled = [new(scheduleSeed: 1), new(scheduleSeed: 2), new(scheduleSeed: 3)];

    public static TheoryData<string> All => OperationTableTests.All;

    /// <summary>Nothing depends on which block or warp comes first, and no hazard hides behind the usual order. Rows take the orders in turn.</summary>
    [SkippableTheory]
    [MemberData(nameof(All))]
    public void AnyOrderOfBlocksAndWarpsGivesTheSameBits(string name) => Check.Passes(CaseVerifier.SameBits(
        OperationTableTests.Case(name), s_plain.Device, s_shuffled[name.Length % s_shuffled.Length].Device));
}

/// <summary>The table with approximate instructions that are off.</summary>
public class EmulatedApproximationTests
{
    private static readonly Emulated s_perturbed = new(approximationSeed: 1);

    public static TheoryData<string> All => OperationTableTests.All;

    /// <summary>A GPU's approximate instructions may be off by what their documentation says; tolerances leave room for that.</summary>
    [SkippableTheory]
    [MemberData(nameof(All))]
    public void ApproximateInstructionsMayBeOffByTheirDocumentedErrors(string name) =>
        Check.Passes(CaseVerifier.CompareWithReference(OperationTableTests.Case(name), s_perturbed.Device));
}
