using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.Verification.Bench;

namespace RawDiffusion.Cli.Bench;

/// <summary>The emulated GPU: executes a call once and says what its kernels did.</summary>
internal sealed class CountingTarget : CudaTarget
{
    private const int BankRow = 128;

    private EmulatedCudaDriver _driver;

    private CountingTarget(EmulatedCudaDriver driver, IReadOnlyList<Ladder>? ladders) : base(new CudaBackend(driver), 0, ladders) => _driver = driver;

    public override bool CountsOnly => true;

    /// <summary>cuBLAS runs on a real GPU only, and nobody would expect it here.</summary>
    public override string? WhyNoCublas => null;

    public static CountingTarget Open(EmulatorOptions options, IReadOnlyList<Ladder>? ladders = null) =>
        new(new EmulatedCudaDriver(options with { Mode = ExecutionMode.Counted }), ladders);

    public override BenchPeaks? MeasurePeaks() => null;

    /// <summary>
    /// About how long the emulator needs for a plan: each row is executed twice, once to be compared and once to be counted, with some
    /// instructions for each multiply-add (naive rungs have 5 to 20, those of tensor cores below 1).
    /// </summary>
    public static double EstimateSeconds(BenchRunner runner, BenchPlan plan)
    {
        const double InstructionsPerWork = 4, InstructionsPerCoreAndSecond = 4e8;
        double instructions = plan.Cases.Sum(each => 2 * InstructionsPerWork * each.Case.Work * runner.Count(plan with { Cases = [each] }));
        return instructions / (InstructionsPerCoreAndSecond * Environment.ProcessorCount);
    }

    public override (BenchTimes? Times, BenchCounters? Counters) Measure(Action run)
    {
        var before = Read();
        run();
        var none = new BenchCounters();
        var total = none;
        foreach (var (counters, after) in Read())
        {
            var did = Difference(after, before.GetValueOrDefault(counters, none));
            if (did.Launches > 0)
                total += did;
        }
        return (null, total);
    }

    /// <summary>A kernel of one row that reads beyond its arrays need not end the others.</summary>
    public override void Recover()
    {
        Close();
        _driver = new EmulatedCudaDriver(_driver.Options);
        Replace(new CudaBackend(_driver));
    }

    public override void Dispose()
    {
        base.Dispose();
        Close();
    }

    private void Close()
    {
        Device.Dispose();
        _driver.Dispose();
    }

    private Dictionary<KernelCounters, BenchCounters> Read()
    {
        Device.Synchronize();
        return _driver.Counters.ToDictionary(counters => counters, Sum);
    }

    private static BenchCounters Sum(KernelCounters counters)
    {
        long warps = 0, lanes = 0, divergences = 0, requests = 0, sectors = 0, bytes = 0, sharedRequests = 0, passes = 0, sharedBytes = 0, conflicts = 0, flops = 0;
        foreach (var c in counters.Instructions)
        {
            warps += c.WarpExecutions;
            lanes += c.LaneExecutions;
            divergences += c.Divergences;
            requests += c.GlobalRequests;
            sectors += c.GlobalSectors;
            bytes += c.GlobalBytes;
            sharedRequests += c.SharedRequests;
            passes += c.SharedPasses;
            sharedBytes += c.SharedBytes;
            conflicts += Math.Max(0, c.SharedPasses - Math.Max(c.SharedRequests, (c.SharedBytes + BankRow - 1) / BankRow));
            flops += c.Flops;
        }
        return new BenchCounters
        {
            Kernels = [counters.Kernel.Name],
            Launches = counters.Launches,
            Warps = counters.Warps,
            WarpInstructions = warps,
            LaneInstructions = lanes,
            Divergences = divergences,
            GlobalRequests = requests,
            GlobalSectors = sectors,
            GlobalBytes = bytes,
            SharedRequests = sharedRequests,
            SharedPasses = passes,
            SharedBytes = sharedBytes,
            BankConflicts = conflicts,
            Flops = flops,
        };
    }

    private static BenchCounters Difference(BenchCounters after, BenchCounters before) => after with
    {
        Launches = after.Launches - before.Launches,
        Warps = after.Warps - before.Warps,
        WarpInstructions = after.WarpInstructions - before.WarpInstructions,
        LaneInstructions = after.LaneInstructions - before.LaneInstructions,
        Divergences = after.Divergences - before.Divergences,
        GlobalRequests = after.GlobalRequests - before.GlobalRequests,
        GlobalSectors = after.GlobalSectors - before.GlobalSectors,
        GlobalBytes = after.GlobalBytes - before.GlobalBytes,
        SharedRequests = after.SharedRequests - before.SharedRequests,
        SharedPasses = after.SharedPasses - before.SharedPasses,
        SharedBytes = after.SharedBytes - before.SharedBytes,
        BankConflicts = after.BankConflicts - before.BankConflicts,
        Flops = after.Flops - before.Flops,
    };
}
