using System.Diagnostics;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.Benchmarks;

/// <summary>
/// How many lane-instructions per second the emulator executes, in each mode, on two tiled matrix products: one thread per element with
/// tiles of 16x16, and 4x4 elements per thread with tiles of 64x64. Processor time of this process, the best of several runs.
/// </summary>
internal static class EmulatorCommand
{
    private const int Size = 256;

    private const string OneElement = """
        extern "C" __global__ void sgemm(const float* __restrict__ a, const float* __restrict__ b, float* c, int n)
        {
            __shared__ float as[16][16], bs[16][16];
            int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
            float sum = 0;
            for (int k = 0; k < n; k += 16) {
                as[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
                bs[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
                __syncthreads();
                for (int i = 0; i < 16; i++)
                    sum += as[threadIdx.y][i] * bs[i][threadIdx.x];
                __syncthreads();
            }
            c[row * n + column] = sum;
        }
        """;

    private const string SixteenElements = """
        extern "C" __global__ void sgemm(const float* __restrict__ a, const float* __restrict__ b, float* c, int n)
        {
            __shared__ float as[16][64], bs[16][64];
            int tx = threadIdx.x & 15, ty = threadIdx.x >> 4, row = blockIdx.y * 64, column = blockIdx.x * 64;
            float sums[4][4] = {};
            for (int k = 0; k < n; k += 16) {
                for (int e = threadIdx.x; e < 1024; e += 256) {
                    as[e & 15][e >> 4] = a[(row + (e >> 4)) * n + k + (e & 15)];
                    bs[e >> 6][e & 63] = b[(k + (e >> 6)) * n + column + (e & 63)];
                }
                __syncthreads();
                #pragma unroll
                for (int i = 0; i < 16; i++)
                    for (int u = 0; u < 4; u++)
                        for (int v = 0; v < 4; v++)
                            sums[u][v] += as[i][ty * 4 + u] * bs[i][tx * 4 + v];
                __syncthreads();
            }
            for (int u = 0; u < 4; u++)
                for (int v = 0; v < 4; v++)
                    c[(row + ty * 4 + u) * n + column + tx * 4 + v] = sums[u][v];
        }
        """;

    public static int Run(ReadOnlySpan<string> arguments)
    {
        int workers = 1;
        if (arguments.Length == 2 && arguments[0] == "--workers" && int.TryParse(arguments[1], out int parsed) && parsed > 0)
            workers = parsed;
        else if (arguments.Length > 0)
        {
            Console.Error.WriteLine("usage: emulator [--workers N]");
            return 2;
        }
        if (!Nvrtc.IsAvailable(out string? problem))
        {
            Console.Error.WriteLine(problem);
            return 1;
        }
        Console.WriteLine($"sgemm {Size}x{Size}x{Size}, {workers} worker{(workers == 1 ? "" : "s")}");
        Console.WriteLine("| kernel | mode | lane-instructions | ms | 10^9 lane-instructions/s | ns per warp instruction |");
        Console.WriteLine("|---|---|---|---|---|---|");
        Measure("1 element per thread", OneElement, new Dim3(Size / 16, Size / 16), new Dim3(16, 16), workers);
        Measure("16 elements per thread", SixteenElements, new Dim3(Size / 64, Size / 64), 256, workers);
        return 0;
    }

    private static void Measure(string name, string source, Dim3 grid, Dim3 block, int workers)
    {
        string ptx = Nvrtc.Compile(new KernelSource("sgemm.cu", source), new KernelTarget("compute_80"), "--generate-line-info").Ptx;
        var kernel = new LinkedKernel(ModuleDecoder.Decode("sgemm.cu", ptx).Kernels[0], []);
        long lanes = 0;
        foreach (ExecutionMode mode in new[] { ExecutionMode.Counted, ExecutionMode.Unchecked, ExecutionMode.Checked })
        {
            using var memory = new GlobalMemory(1 << 26, shadowed: mode == ExecutionMode.Checked);
            byte[] parameters = new byte[kernel.Kernel.ParameterBytes];
            for (int matrix = 0; matrix < 3; matrix++)
            {
                const int bytes = 4 * Size * Size;
                ulong address = memory.TryAllocate(bytes, "matrix")!.Address;
                memory.Define(address, bytes);
                BitConverter.TryWriteBytes(parameters.AsSpan(8 * matrix), address);
            }
            BitConverter.TryWriteBytes(parameters.AsSpan(24), Size);
            var counters = new KernelCounters(kernel.Kernel);
            var launch = new KernelLaunch(kernel, grid, block, 0, parameters, memory, new LaunchOptions { Mode = mode, Workers = workers, Counters = counters });
            GridExecutor.Run(launch);
            if (mode == ExecutionMode.Counted)
                lanes = counters.Instructions.Sum(instruction => instruction.LaneExecutions);
            double best = double.MaxValue;
            for (int run = 0; run < 20; run++)
                best = Math.Min(best, Seconds(() => GridExecutor.Run(launch), workers));
            Console.WriteLine(FormattableString.Invariant(
                $"| {name} | {mode} | {lanes:N0} | {best * 1e3:F1} | {lanes / best / 1e9:F2} | {best * 1e9 * 32 / lanes:F1} |"));
        }
    }

    /// <summary>Of one worker the processor time, which others on the machine do not lengthen; of several the time that passes.</summary>
    private static double Seconds(Action action, int workers)
    {
        TimeSpan start = Environment.CpuUsage.TotalTime;
        long wall = Stopwatch.GetTimestamp();
        action();
        return workers == 1 ? (Environment.CpuUsage.TotalTime - start).TotalSeconds : Stopwatch.GetElapsedTime(wall).TotalSeconds;
    }
}
