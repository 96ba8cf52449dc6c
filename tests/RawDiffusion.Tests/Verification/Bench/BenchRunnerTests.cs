using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Verification.Bench;

namespace RawDiffusion.Tests;

/// <summary>What is compared, what is measured and what is only reported.</summary>
public class BenchRunnerTests
{
    private static readonly BenchOperation s_matmul = BenchTable.Find("matmul");

    private static BenchPlan Plan(BenchOperation operation, string shape, params string[] variants) =>
        new([(operation, operation.At(shape))], variants, [Precision.Float32]);

    /// <summary>The device that is trusted computes right, the one that is measured does not.</summary>
    private static BenchOperation Wrong(Action<Backend, Storage[]> wrong) => s_matmul with
    {
        Create = text =>
        {
            var right = s_matmul.Create(text);
            return right with
            {
                Run = (device, s) =>
                {
                    if (device == Device.Reference)
                        right.Run(device, s);
                    else
                        wrong(device, s);
                },
            };
        },
    };

    [Fact]
    public void A_wrong_result_is_reported_and_never_timed()
    {
        using var target = new FakeTarget();
        var row = Assert.Single(new BenchRunner(target).Run(Plan(Wrong((device, s) => device.Fill(s[2], 1)), "3x4x5")));
        Assert.Equal(BenchOutcome.Wrong, row.Outcome);
        Assert.Null(row.Times);
        Assert.Contains("matmul 3x4x5: c on cpu: element ", row.Note);
        Assert.Empty(target.Measured);
        Assert.False(new BenchReport { Facts = [], Rows = [row] }.Passed);
    }

    /// <summary>Memory comes from a pool: what an earlier run left there could be the right result.</summary>
    [Fact]
    public void A_kernel_that_writes_nothing_is_wrong()
    {
        using var target = new FakeTarget();
        var row = Assert.Single(new BenchRunner(target).Run(Plan(Wrong((_, _) => { }), "3x4x5")));
        Assert.Equal(BenchOutcome.Wrong, row.Outcome);
        Assert.Contains("NaN", row.Note);
    }

    [Fact]
    public void An_error_of_one_row_leaves_the_others()
    {
        using var target = new FakeTarget();
        var fails = Wrong((_, _) => throw new InvalidOperationException("the launch was refused"));
        var plan = new BenchPlan([(fails, fails.At("3x4x5")), (s_matmul, s_matmul.At("3x4x5"))], [], [Precision.Float32]);
        BenchRow[] rows = [.. new BenchRunner(target).Run(plan)];
        Assert.Equal([BenchOutcome.Failed, BenchOutcome.Timed], rows.Select(row => row.Outcome));
        Assert.Equal("the launch was refused", rows[0].Note);
    }

    [Fact]
    public void Rungs_are_measured_in_their_order_each_while_it_is_forced()
    {
        var ladder = new Ladder("matmul", FakeTarget.Rung("naive"), FakeTarget.Rung("tiles"), FakeTarget.Rung("hopper", 90), FakeTarget.Rung("mma", precision: Precision.BFloat16));
        using var target = new FakeTarget(ladder, new Ladder("softmax", FakeTarget.Rung("other"))) { OffersCublas = true };
        var runner = new BenchRunner(target);
        var plan = Plan(s_matmul, "16x16x16");
        BenchRow[] rows = [.. runner.Run(plan)];

        Assert.Equal(["chosen", "naive", "tiles", "hopper", "cublas"], rows.Select(row => row.Variant));
        Assert.Equal(rows.Length, runner.Count(plan));
        Assert.Equal([null, ladder["naive"], ladder["tiles"], null], target.Measured);
        Assert.Null(target.Forced);
        Assert.Equal("what tiles does", rows[2].What);
        Assert.Equal(BenchOutcome.Unsupported, rows[3].Outcome);
        Assert.Equal("matmul hopper needs compute capability 90", rows[3].Note);
        Assert.All(rows.Where(row => row.Variant != "hopper"), row => Assert.Equal("checked against reference", row.Note));
    }

    [Fact]
    public void Only_the_variants_that_were_asked_for_are_measured()
    {
        using var target = new FakeTarget(new Ladder("matmul", FakeTarget.Rung("naive"), FakeTarget.Rung("tiles"))) { OffersCublas = true };
        Assert.Equal(["tiles"], new BenchRunner(target).Run(Plan(s_matmul, "4x4x4", "tiles")).Select(row => row.Variant));
        Assert.Equal(["chosen", "cublas"], new BenchRunner(target).Run(Plan(s_matmul, "4x4x4", "chosen", "cublas")).Select(row => row.Variant));
    }

    /// <summary>Reference would need minutes for a large product, so the same operation is compared at a smaller shape.</summary>
    [Fact]
    public void What_is_too_large_for_reference_is_compared_at_a_small_shape()
    {
        using var target = new FakeTarget();
        var row = Assert.Single(new BenchRunner(target).Run(Plan(BenchTable.Find("softmax"), "16384x512")));
        Assert.Equal(BenchOutcome.Timed, row.Outcome);
        Assert.Equal($"checked against reference at {BenchTable.Find("softmax").SmallShapes[0]}", row.Note);
    }

    /// <summary>Each operation of the table, as the bench runs it on this machine without a GPU.</summary>
    [Fact]
    public void Every_operation_is_right_and_timed_on_the_cpu()
    {
        using var target = new CpuTarget(0);
        var plan = new BenchPlan([.. BenchTable.All.Select(operation => (operation, operation.At(operation.SmallShapes[0])))], [], target.Device.Precisions);
        BenchRow[] rows = [.. new BenchRunner(target).Run(plan)];
        Assert.Equal(BenchTable.All.Select(operation => operation.Name), rows.Select(row => row.Operation));
        Assert.All(rows, row =>
        {
            Assert.True(row.Outcome == BenchOutcome.Timed, $"{row.Operation} {row.Shape}: {row.Note}");
            Assert.True(row.Times!.Repetitions >= CpuTarget.Least && row.Times.P20 <= row.Times.Median && row.Times.Median <= row.Times.P80);
            Assert.True(row.GigabytesPerSecond > 0);
        });
    }
}
