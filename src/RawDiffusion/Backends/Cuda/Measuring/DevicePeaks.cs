using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda.Measuring;

/// <summary>
/// What a GPU can do at most, measured by the kernels of <c>peaks.cu</c>: bytes in 10^9 a second, read and written counted once each;
/// arithmetic in 10^12 operations a second.
/// </summary>
/// <param name="KernelCopy">A copy by our kernel.</param>
/// <param name="DriverCopy">The same by the driver.</param>
/// <param name="Fma">Multiply-adds in float32.</param>
/// <param name="Tf32">mma.sync with tf32 factors; null below compute capability 8.0.</param>
/// <param name="BFloat16">mma.sync with bfloat16 factors.</param>
public sealed record DevicePeaks(double KernelCopy, double DriverCopy, double Fma, double? Tf32, double? BFloat16)
{
    private const string File = "peaks.cu";
    private const int Block = 256, Warp = 32;

    /// <summary>Multiply-adds a round and thread, and tensor-core products a round and warp, as in the file.</summary>
    private const int FmaEach = 16 * 8, ProductsEach = 8;

    /// <summary>Measures all of them.</summary>
    /// <param name="copyBytes">Of each of the two arrays: many times the L2 cache.</param>
    /// <param name="rounds">Of the arithmetic kernels: enough for some milliseconds.</param>
    public static DevicePeaks Measure(CudaBackend backend, DeviceTimer timer, long copyBytes = 512L << 20, int rounds = 2000)
    {
        const double Seconds = 0.1;
        var context = backend.Context;
        using var library = new KernelLibrary(context, new KernelCompiler());
        // All threads that fit at a time, and a second wave of them: then none of the multiprocessors is short of warps.
        int threads = context.Driver.GetAttribute(DeviceAttribute.MaxThreadsPerMultiprocessor, context.Device);
        int blocks = 2 * context.Multiprocessors * Math.Max(1, threads / Block);
        using var ends = context.Allocate(4L * blocks * Block, "results of the peaks");
        double Best(Action work) => timer.Time(work, Seconds, least: 10, flush: false).Min();

        double Rate(string kernel, double operationsPerThread, params KernelArg[] args)
        {
            var found = library.Kernel(File, kernel);
            return operationsPerThread * Block * blocks / Best(() => found.Launch(blocks, Block, 0, args)) / 1e12;
        }
        double fma = Rate("peaks_fma_f32", 2.0 * FmaEach * rounds, rounds, 0.999f, 1e-3f, ends.Pointer);
        double? tf32 = null, bfloat16 = null;
        if (backend.Capability >= 80)
        {
            tf32 = Rate("peaks_mma_tf32", 2.0 * 16 * 8 * 8 * ProductsEach * rounds / Warp, rounds, ends.Pointer);
            bfloat16 = Rate("peaks_mma_bf16", 2.0 * 16 * 8 * 16 * ProductsEach * rounds / Warp, rounds, ends.Pointer);
        }

        using var from = context.Allocate(copyBytes, "source of a copy");
        using var to = context.Allocate(copyBytes, "copy");
        from.Clear();
        var copy = library.Kernel(File, "peaks_copy_b128");
        double kernelSeconds = Best(() => copy.Launch(blocks, Block, 0, copyBytes / 16, from.Pointer, to.Pointer));
        double driverSeconds = Best(() => to.CopyFrom(from, copyBytes));
        return new DevicePeaks(2.0 * copyBytes / kernelSeconds / 1e9, 2.0 * copyBytes / driverSeconds / 1e9, fma, tf32, bfloat16);
    }
}
