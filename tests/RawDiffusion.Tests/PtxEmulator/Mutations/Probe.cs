using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

/// <summary>Something that runs kernels and says whether what they did is right.</summary>
/// <param name="Kind">What is computed by the same kernels, more or less.</param>
/// <param name="Name">Kind and shapes.</param>
/// <param name="Run">A failure; a result without one where all is right; null where the device is not for it (a rung refuses a shape).</param>
internal sealed record Probe(string Kind, string Name, Func<CudaBackend, CheckResult?> Run)
{
    /// <summary>
    /// The table of operations in every way that it is computed in: as the backend chooses, in float32 and in bfloat16, and by every rung of
    /// a ladder; <see cref="KernelTestProbes"/>; how tf32 is rounded to (<see cref="Kernels.Tf32RoundingTests"/>); and <see cref="BackendSamples"/>.
    /// </summary>
    public static IEnumerable<Probe> All =>
        OperationTable.All.Select(row => Of(row, Precision.Float32))
            .Concat(OperationTable.All.Where(row => row.HasBFloat16).Select(row => Of(row, Precision.BFloat16)))
            .Concat(Ladders.All.SelectMany(ladder => ladder.Rungs).SelectMany(
                rung => Kernels.RungTests.RowsOf(rung.Operation, rung.Precision).Select(row => Of(row, rung))))
            .Concat(KernelTestProbes.All)
            .Concat(Kernels.Tf32RoundingTests.Probes)
            .Concat(BackendSamples.All);

    public override string ToString() => Name;

    private static Probe Of(OperationCase row, Precision precision) =>
        new($"{row.Operation} {precision}", $"{row} {precision}", device => CaseVerifier.CompareWithReference(row, device, precision));

    private static Probe Of(OperationCase row, Rung rung) => new($"{row.Operation} by {rung} {rung.Precision}", $"{row} by {rung}", device =>
    {
        using (device.Use(rung))
            return Kernels.RungTests.Compare(row, device, rung);
    });
}
