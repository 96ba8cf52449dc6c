using System.Reflection;
using RawDiffusion.Tests.Diffusion.Training;
using RawDiffusion.Tests.Kernels;
using RawDiffusion.Verification;
using Xunit.Sdk;

namespace RawDiffusion.Tests;

/// <summary>
/// Tests of kernels that go beyond the table of operations, as probes: windows that begin anywhere, with values around them that nothing may
/// touch, every tile of a product in every layout, and the training that is one kernel.
/// </summary>
internal static class KernelTestProbes
{
    private static readonly (Type Class, string Method)[] s_tests =
    [
        (typeof(ElementwiseKernelTests), nameof(ElementwiseKernelTests.WindowsAtAnyOffsetAgreeWithReference)),
        (typeof(ElementwiseKernelTests), nameof(ElementwiseKernelTests.BroadcastingOfAnyWindowAgreesWithReference)),
        (typeof(ElementwiseKernelTests), nameof(ElementwiseKernelTests.ConversionsRoundToEvenAndAreExactBackwards)),
        (typeof(PointwiseKernelTests), nameof(PointwiseKernelTests.ResamplingOfAnyWindowAgreesWithReference)),
        (typeof(PointwiseKernelTests), nameof(PointwiseKernelTests.IndexingOfAnyWindowAgreesWithReference)),
        (typeof(PointwiseKernelTests), nameof(PointwiseKernelTests.DropoutOfAnyWindowKeepsTheSameElements)),
        (typeof(PointwiseKernelTests), nameof(PointwiseKernelTests.NoiseSchedulesOfAnyWindowAgreeWithReference)),
        (typeof(RowKernelTests), nameof(RowKernelTests.RowsOfAnyLengthInAnyWindowAgreeWithReference)),
        (typeof(RowKernelTests), nameof(RowKernelTests.ReductionsOfAnyWindowAgreeWithReference)),
        (typeof(ShapingKernelTests), nameof(ShapingKernelTests.PermutesOfAnyWindowMoveEveryElement)),
        (typeof(ShapingKernelTests), nameof(ShapingKernelTests.RegionsJoinsSplitsAndBroadcastsOfAnyWindowMoveEveryElement)),
        (typeof(MatMulTileTests), nameof(MatMulTileTests.EveryTileMultipliesEveryLayout)),
        (typeof(MatMulTileTests), nameof(MatMulTileTests.ASplitSumIsTheSumOfItsPartsWithTheBiasAddedOnce)),
        (typeof(FusedTrainingTests), nameof(FusedTrainingTests.It_trains_as_the_cpu_does)),
    ];

    public static IEnumerable<Probe> All => s_tests.SelectMany(test =>
    {
        var method = test.Class.GetMethod(test.Method)!;
        return method.GetCustomAttributes<DataAttribute>().SelectMany(attribute => attribute.GetData(method)).Select(arguments =>
            new Probe(test.Method, $"{test.Method}({string.Join(", ", arguments)})", device =>
            {
                object instance = Activator.CreateInstance(test.Class)!;
                try
                {
                    Emulated.WithPlain(device, () => method.Invoke(instance, BindingFlags.DoNotWrapExceptions, null, arguments, null));
                    return CheckResult.Passed;
                }
                catch (Exception e)
                {
                    return CheckResult.Failed($"{test.Method}: {e}");
                }
                finally
                {
                    (instance as IDisposable)?.Dispose();
                }
            }));
    });
}
