using RawDiffusion.Backends;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

/// <summary>That the table of operations is whole.</summary>
public class CoverageTests
{
    [Fact]
    public void TheTableHasAtLeastTwoThousandCases() => Assert.InRange(OperationTable.All.Count, 2_000, int.MaxValue);

    /// <summary>
    /// What a device must do is what the table verifies. Memory is tested with the tensors themselves; the in-place methods of
    /// optimizers by the golden trajectories and the tests in Optim.
    /// </summary>
    [Fact]
    public void EveryMethodOfABackendIsReachedByARow()
    {
        string[] elsewhere =
        [
            nameof(Backend.Allocate), nameof(Backend.Release), nameof(Backend.Upload), nameof(Backend.Download), nameof(Backend.Copy),
            nameof(Backend.Fill), nameof(Backend.Synchronize), nameof(Backend.AdamW), nameof(Backend.Sgd), nameof(Backend.Ema),
        ];
        var missing = typeof(Backend).GetMethods()
            .Where(method => method is { IsAbstract: true, IsSpecialName: false })
            .Select(method => method.Name)
            .Except(elsewhere)
            .ToHashSet();
        var recorder = new RecordingBackend();
        // One case of every operation first: most often these are enough.
        foreach (var operationCase in OperationTable.All.DistinctBy(c => c.Operation).Concat(OperationTable.All))
        {
            if (missing.IsSubsetOf(recorder.Called))
                return;
            CaseRun.Make(operationCase, recorder);
        }
        missing.ExceptWith(recorder.Called);
        Assert.True(missing.Count == 0, $"No row reaches {string.Join(", ", missing)}.");
    }
}
