using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Measuring;
using RawDiffusion.Cli.Bench;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.Tests.Kernels;
using RawDiffusion.Verification.Bench;

namespace RawDiffusion.Tests;

/// <summary>The bench on the emulated GPU: its counters, and the way that a real one is timed.</summary>
public class BenchDeviceTests
{
    private static BenchRow[] Run(BenchTarget target, string operation, string shape, Precision precision = Precision.Float32)
    {
        var found = BenchTable.Find(operation);
        return [.. new BenchRunner(target).Run(new BenchPlan([(found, found.At(shape))], [BenchRow.Chosen], [precision]))];
    }

    [SkippableFact]
    public void On_an_emulated_device_what_the_kernels_of_one_call_did_is_counted()
    {
        TestNvrtc.Require();
        using var target = CountingTarget.Open(EmulatorOptions.Default);
        Assert.True(target.CountsOnly);
        Assert.Null(target.MeasurePeaks());
        var row = Assert.Single(Run(target, "adamw", "4K"));
        Assert.True(row.Outcome == BenchOutcome.Counted, row.Note);
        Assert.Null(row.Times);
        var counters = row.Counters!;
        Assert.Equal(1, counters.Launches);
        Assert.StartsWith("optimizer_adamw", Assert.Single(counters.Kernels));
        // Seven passes over 4096 floats, all of them coalesced.
        Assert.Equal(7 * 4 * 4096, counters.MovedBytes);
        Assert.Equal(1, counters.SectorUse);

        // Only the call itself: not the one that was checked, nor other rows.
        Assert.Equal(counters.WarpInstructions, Assert.Single(Run(target, "adamw", "4K")).Counters!.WarpInstructions);
        var product = Assert.Single(Run(target, "matmul", "64x64x32"));
        Assert.True(product.Outcome == BenchOutcome.Counted, product.Note);
        Assert.True(product.Counters!.Flops >= 2 * 64 * 64 * 32);
        Assert.All(product.Counters.Kernels, name => Assert.StartsWith("matmul", name));
    }

    /// <summary>The default shapes take seconds; a product of 4096 in every rung takes hours, which the user is told first.</summary>
    [SkippableFact]
    public void How_long_the_emulator_will_take_grows_with_the_work()
    {
        TestNvrtc.Require();
        using var target = CountingTarget.Open(EmulatorOptions.Default);
        var runner = new BenchRunner(target);
        var matmul = BenchTable.Find("matmul");
        double Seconds(string shape, params string[] rungs) => CountingTarget.EstimateSeconds(runner, new BenchPlan([(matmul, matmul.At(shape))], rungs, [Precision.Float32]));
        Assert.Equal(4096, Seconds("4096x4096x4096") / Seconds("256x256x256"), 6);
        Assert.Equal(2, Seconds("64x64x64", "naive", "coalesced") / Seconds("64x64x64", "naive"), 6);
        Assert.True(Seconds("256x256x256") < 60 && Seconds("4096x4096x4096") * Environment.ProcessorCount > 3600);
    }

    /// <summary>The emulator's events tell its own time, which says nothing of a GPU; that they are asked in the right order is what is tested.</summary>
    [SkippableFact]
    public void A_device_is_timed_by_events()
    {
        TestNvrtc.Require();
        using var driver = new EmulatedCudaDriver(new EmulatorOptions { ComputeCapability = 75 });
        using var device = new CudaBackend(driver);
        using var target = new CudaTarget(device, 0);
        Assert.False(target.HasCublas);
        Assert.Contains("cuBLAS runs on a real GPU only", target.WhyNoCublas);
        var row = Assert.Single(Run(target, "adamw", "4K"));
        Assert.True(row.Outcome == BenchOutcome.Timed, row.Note);
        Assert.Equal("checked against cpu", row.Note);
        Assert.True(row.Times!.Repetitions >= 20 && row.Times.P20 > 0 && row.Times.P20 <= row.Times.Median && row.Times.Median <= row.Times.P80);
    }

    [SkippableFact]
    public void Peaks_are_measured_where_the_kernels_are_there()
    {
        TestNvrtc.Require();
        using var driver = new EmulatedCudaDriver(new EmulatorOptions { ComputeCapability = 75 });
        using var device = new CudaBackend(driver);
        using var timer = new DeviceTimer(device);
        Assert.True(timer.FlushBytes >= 2 * (4 << 20));
        var peaks = DevicePeaks.Measure(device, timer, copyBytes: 1 << 16, rounds: 1);
        Assert.True(peaks is { KernelCopy: > 0, DriverCopy: > 0, Fma: > 0, Tf32: null, BFloat16: null });
    }

    /// <summary>The kernels that measure peaks do all the work that they claim: their results say so.</summary>
    [SkippableFact]
    public void The_kernels_of_the_peaks_compute_what_they_claim_without_a_hazard()
    {
        var context = Emulated.Plain.Device.Context;
        using var library = new KernelLibrary(context, new KernelCompiler());
        float[] result = new float[2 * 256];
        using var memory = context.Allocate(4 * result.Length);
        float[] Result(string kernel, params KernelArg[] args)
        {
            library.Kernel("peaks.cu", kernel).Launch(2, 256, 0, [.. args, memory.Pointer]);
            memory.CopyTo<float>(result);
            return result;
        }

        // Eight chains from thread + c, each halved and raised by one, 2 * 16 times: near the fixed point 2.
        Assert.All(Result("peaks_fma_f32", 2, 0.5f, 1f), sum => Assert.Equal(16, sum, 3));
        // 3 rounds; each adds to each of 8 * 4 accumulators 16 (or 8) products of 2^-6 and 2^-6.
        Assert.All(Result("peaks_mma_bf16", 3), sum => Assert.Equal(3 * 32 * 16.0 / 4096, sum, 5));
        Assert.All(Result("peaks_mma_tf32", 3), sum => Assert.Equal(3 * 32 * 8.0 / 4096, sum, 5));

        // 3 blocks of threads for 5000 places of 16 bytes: whole groups of four and a rest.
        int[] from = [.. Enumerable.Range(0, 20_000)], to = new int[from.Length];
        using DeviceBuffer x = context.Allocate(4 * from.Length), y = context.Allocate(4 * from.Length);
        x.CopyFrom<int>(from);
        library.Kernel("peaks.cu", "peaks_copy_b128").Launch(3, 256, 0, from.Length / 4L, x.Pointer, y.Pointer);
        y.CopyTo<int>(to);
        Assert.Equal(from, to);
    }
}
