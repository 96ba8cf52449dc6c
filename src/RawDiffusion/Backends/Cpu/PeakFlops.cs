using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// What this machine can do at most, measured: the yardsticks that benchmarks and <c>doctor</c> put beside their figures. Both
/// use all threads of <see cref="Workers"/>.
/// </summary>
public static unsafe class PeakFlops
{
    private const int Accumulators = 12;
    private const int Rounds = 200_000;
    private const int PiecesPerThread = 16;
    private const int Repetitions = 8;

    /// <summary>
    /// Best multiply-add rate of eight runs, in GFLOP/s: chains of multiply-adds in registers, twelve of them, because two units
    /// with a latency of four or five cycles need eight to ten independent ones.
    /// </summary>
    public static double Fma()
    {
        double best = 0;
        int pieces = Workers.Count * PiecesPerThread;
        var sink = stackalloc float[pieces];
        for (int i = 0; i < Repetitions; i++)
        {
            long start = Stopwatch.GetTimestamp();
            Workers.For(pieces, new FmaBody(sink));
            int lanes = CpuBackend.VectorBits / 32;
            double flops = 2.0 * lanes * Accumulators * Rounds * pieces;
            best = Math.Max(best, flops / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9);
        }
        return best;
    }

    /// <summary>Best rate of eight copies of 128 MiB, in GB/s, bytes read and written counted once each.</summary>
    public static double CopyBandwidth()
    {
        const int Length = 1 << 25;
        float[] x = GC.AllocateUninitializedArray<float>(Length, pinned: true), y = GC.AllocateUninitializedArray<float>(Length, pinned: true);
        x.AsSpan().Fill(1);
        y.AsSpan().Fill(0);
        double best = 0;
        for (int i = 0; i < Repetitions; i++)
        {
            long start = Stopwatch.GetTimestamp();
            Workers.ForRange(Length, Length / 16, new CopyBody(x, y));
            best = Math.Max(best, 2.0 * sizeof(float) * Length / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9);
        }
        return best;
    }

    private readonly struct CopyBody(float[] x, float[] y) : IRangeBody
    {
        public void Run(int start, int end, int worker) =>
            x.AsSpan(start, end - start).CopyTo(y.AsSpan(start));
    }

    private readonly struct FmaBody(float* sink) : IParallelBody
    {
        public void Run(int index, int worker) => sink[index] = CpuBackend.VectorBits switch
        {
            512 => Chains512(),
            256 => Chains256(),
            _ => Chains128(),
        };
    }

    // The three bodies differ in the vector type alone; written out because the twelve accumulators must be locals to stay in registers.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Chains512()
    {
        var x = Vector512.Create(0.999999f);
        var y = Vector512.Create(1e-6f);
        Vector512<float> a0 = y, a1 = y, a2 = y, a3 = y, a4 = y, a5 = y, a6 = y, a7 = y, a8 = y, a9 = y, a10 = y, a11 = y;
        for (int i = 0; i < Rounds; i++)
        {
            a0 = Vector512.MultiplyAddEstimate(a0, x, y);
            a1 = Vector512.MultiplyAddEstimate(a1, x, y);
            a2 = Vector512.MultiplyAddEstimate(a2, x, y);
            a3 = Vector512.MultiplyAddEstimate(a3, x, y);
            a4 = Vector512.MultiplyAddEstimate(a4, x, y);
            a5 = Vector512.MultiplyAddEstimate(a5, x, y);
            a6 = Vector512.MultiplyAddEstimate(a6, x, y);
            a7 = Vector512.MultiplyAddEstimate(a7, x, y);
            a8 = Vector512.MultiplyAddEstimate(a8, x, y);
            a9 = Vector512.MultiplyAddEstimate(a9, x, y);
            a10 = Vector512.MultiplyAddEstimate(a10, x, y);
            a11 = Vector512.MultiplyAddEstimate(a11, x, y);
        }
        return Vector512.Sum(a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + a10 + a11);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Chains256()
    {
        var x = Vector256.Create(0.999999f);
        var y = Vector256.Create(1e-6f);
        Vector256<float> a0 = y, a1 = y, a2 = y, a3 = y, a4 = y, a5 = y, a6 = y, a7 = y, a8 = y, a9 = y, a10 = y, a11 = y;
        for (int i = 0; i < Rounds; i++)
        {
            a0 = Vector256.MultiplyAddEstimate(a0, x, y);
            a1 = Vector256.MultiplyAddEstimate(a1, x, y);
            a2 = Vector256.MultiplyAddEstimate(a2, x, y);
            a3 = Vector256.MultiplyAddEstimate(a3, x, y);
            a4 = Vector256.MultiplyAddEstimate(a4, x, y);
            a5 = Vector256.MultiplyAddEstimate(a5, x, y);
            a6 = Vector256.MultiplyAddEstimate(a6, x, y);
            a7 = Vector256.MultiplyAddEstimate(a7, x, y);
            a8 = Vector256.MultiplyAddEstimate(a8, x, y);
            a9 = Vector256.MultiplyAddEstimate(a9, x, y);
            a10 = Vector256.MultiplyAddEstimate(a10, x, y);
            a11 = Vector256.MultiplyAddEstimate(a11, x, y);
        }
        return Vector256.Sum(a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + a10 + a11);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Chains128()
    {
        var x = Vector128.Create(0.999999f);
        var y = Vector128.Create(1e-6f);
        Vector128<float> a0 = y, a1 = y, a2 = y, a3 = y, a4 = y, a5 = y, a6 = y, a7 = y, a8 = y, a9 = y, a10 = y, a11 = y;
        for (int i = 0; i < Rounds; i++)
        {
            a0 = Vector128.MultiplyAddEstimate(a0, x, y);
            a1 = Vector128.MultiplyAddEstimate(a1, x, y);
            a2 = Vector128.MultiplyAddEstimate(a2, x, y);
            a3 = Vector128.MultiplyAddEstimate(a3, x, y);
            a4 = Vector128.MultiplyAddEstimate(a4, x, y);
            a5 = Vector128.MultiplyAddEstimate(a5, x, y);
            a6 = Vector128.MultiplyAddEstimate(a6, x, y);
            a7 = Vector128.MultiplyAddEstimate(a7, x, y);
            a8 = Vector128.MultiplyAddEstimate(a8, x, y);
            a9 = Vector128.MultiplyAddEstimate(a9, x, y);
            a10 = Vector128.MultiplyAddEstimate(a10, x, y);
            a11 = Vector128.MultiplyAddEstimate(a11, x, y);
        }
        return Vector128.Sum(a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + a10 + a11);
    }
}
