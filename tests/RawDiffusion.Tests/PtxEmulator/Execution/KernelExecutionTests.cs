using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>Whole kernels, compiled from CUDA C++, against the same computation in C#.</summary>
public class KernelExecutionTests
{
    private static float[] Random(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() * 2 - 1)];
    }

    [SkippableTheory]
    [InlineData(ExecutionMode.Unchecked, 1)]
    [InlineData(ExecutionMode.Unchecked, 2)]
    [InlineData(ExecutionMode.Checked, 2)]
    public void VectorsAreAdded(ExecutionMode mode, int workers)
    {
        using var module = EmulatedModule.Cuda(PtxTexts.VectorAdd);
        module.Options = new LaunchOptions { Mode = mode, Workers = workers };
        const int n = 1000;
        float[] a = Random(n, 1), b = Random(n, 2);
        ulong result = module.Allocate(4 * n);
        module.Run("add", 8, 128, 0, module.Upload(a), module.Upload(b), result, n);
        Assert.Equal(a.Zip(b, (x, y) => x + y), module.Download<float>(result, n));
    }

    [SkippableTheory]
    [InlineData(ExecutionMode.Unchecked, null)]
    [InlineData(ExecutionMode.Unchecked, 7ul)]
    [InlineData(ExecutionMode.Checked, null)]
    [InlineData(ExecutionMode.Checked, 8ul)]
    public void MatricesAreMultipliedInTiles(ExecutionMode mode, ulong? seed)
    {
        using var module = EmulatedModule.Cuda(PtxTexts.Sgemm);
        module.Options = new LaunchOptions { Mode = mode, ScheduleSeed = seed };
        const int n = 64;
        float[] a = Random(n * n, 1), b = Random(n * n, 2);
        ulong result = module.Allocate(4 * n * n);
        module.Run("sgemm", (n / 16, n / 16), (16, 16), 0, module.Upload(a), module.Upload(b), result, n);
        float[] c = module.Download<float>(result, n * n);
        for (int row = 0; row < n; row++)
        {
            for (int column = 0; column < n; column++)
            {
                // The kernel contracts to fma in this order.
                float sum = 0;
                for (int k = 0; k < n; k++)
                    sum = MathF.FusedMultiplyAdd(a[row * n + k], b[k * n + column], sum);
                Assert.Equal(sum, c[row * n + column]);
            }
        }
    }

    [SkippableTheory]
    [InlineData(ExecutionMode.Unchecked)]
    [InlineData(ExecutionMode.Checked)]
    public void SumsGoThroughShufflesSharedMemoryAndAtomics(ExecutionMode mode)
    {
        using var module = EmulatedModule.Cuda(PtxTexts.Reduction);
        module.Options = new LaunchOptions { Mode = mode };
        float[] x = [.. Enumerable.Range(0, 1000).Select(i => (float)(i % 17))];
        ulong result = module.Upload(0f, 5f);
        module.Run("reduce", 1, 256, 32, module.Upload(x), result, x.Length);
        Assert.Equal([x.Sum(), 5 + x.Sum()], module.Download<float>(result, 2));
    }

    [SkippableFact]
    public void TheMathematicalFunctionsOfCudaAreAsAccurateAsItsManualSays()
    {
        using var module = EmulatedModule.Cuda(PtxTexts.Functions);
        float[] x = [.. Random(256, 3).Select(value => 4 * MathF.Abs(value) + 0.01f)];
        ulong result = module.Allocate(4 * x.Length);
        module.Run("functions", 1, x.Length, 0, module.Upload(x), result);
        float[] y = module.Download<float>(result, x.Length);
        for (int i = 0; i < x.Length; i++)
        {
            double v = x[i];
            double expected = Math.Exp(v) + Math.Sin(v) * Math.Pow(v, 2.3f) - Math.Tanh(v) / MathNet.Numerics.SpecialFunctions.Erf(v) + Math.Log(v);
            // Each of the functions errs by at most 4 units in the last place of its result, and none of the terms exceeds 60.
            Assert.Equal(expected, y[i], 60 * 6 * Math.Pow(2, -23));
        }
        double[] d = [.. x.Select(value => (double)value)];
        ulong z = module.Upload([.. Enumerable.Range(-100, 257).Select(i => 1234567890123L * i + 1)]);
        ulong y64 = module.Allocate(8 * d.Length);
        module.Run("doubles", 1, 256, 0, module.Upload(d), y64, z);
        double[] results = module.Download<double>(y64, d.Length);
        for (int i = 0; i < d.Length; i++)
        {
            double expected = Math.Exp(d[i]) / 3 + Math.Cos(d[i]);
            Assert.Equal(expected, results[i], 4e-16 * Math.Abs(expected) + 2e-16 * 3);
        }
    }

    [SkippableFact]
    public void LocalMemoryFunctionsVariablesAndPrintfWork()
    {
        using var module = EmulatedModule.Cuda("extern \"C\" int printf(const char*, ...);\n" + PtxTexts.Local);
        int[] x = [.. Enumerable.Range(0, 32).Select(i => i % 5)];
        ulong result = module.Allocate(4);
        byte[] mixed = new byte[32];
        BitConverter.TryWriteBytes(mixed.AsSpan(0), 3);
        BitConverter.TryWriteBytes(mixed.AsSpan(4), 0.5f);
        BitConverter.TryWriteBytes(mixed.AsSpan(8), 2.25);
        mixed[18] = 9;
        const int n = 7;
        module.Run("local", 1, 1, 0, mixed[..module["local"].Parameters[0].Bytes], module.Upload(x), result, n);
        float sum = 0;
        float[] factors = [1.5f, 2, 3];
        for (int i = 0; i < n; i++)
            sum += x[x[i] & 31] * 0.5f + factors[i % 3] + x[i] + 1;
        float expected = sum + (3 * 0.5f + x[n] * 0.5f + 2.25f + 9) + 14 + 3;
        Assert.Equal([expected], module.Download<float>(result, 1));
        Assert.Equal([$"sum {sum:F6} of 7\n"], module.Output);
    }

    [SkippableFact]
    public void LanesThatPartInLoopsAndSwitchesMeetAgain()
    {
        using var module = EmulatedModule.Cuda("""
            extern "C" __global__ void collatz(int* steps, int* meeting)
            {
                int i = blockIdx.x * blockDim.x + threadIdx.x, n = i + 1, count = 0;
                while (n != 1) {
                    if (n & 1) n = 3 * n + 1; else n /= 2;
                    count++;
                    if (count > 1000) break;
                }
                switch (i & 7) {
                case 0: count += 1000; break;
                case 1: count *= 3; break;
                case 2: for (int k = 0; k < i; k++) count ^= k; break;
                case 3: count = -count; break;
                case 5: if (i > 50) return; count--; break;
                case 6: count <<= 2; break;
                }
                meeting[i] = __activemask();
                steps[i] = count;
            }
            """);
        const int n = 128;
        ulong steps = module.Upload(new int[n]), meeting = module.Upload(new int[n]);
        module.Run("collatz", 1, n, 0, steps, meeting);
        int[] expected = new int[n], masks = new int[n];
        for (int i = 0; i < n; i++)
        {
            int count = 0;
            for (int v = i + 1; v != 1; count++)
                v = (v & 1) != 0 ? 3 * v + 1 : v / 2;
            switch (i & 7)
            {
                case 0: count += 1000; break;
                case 1: count *= 3; break;
                case 2:
                    for (int k = 0; k < i; k++)
                        count ^= k;
                    break;
                case 3: count = -count; break;
                case 5 when i > 50: continue;
                case 5: count--; break;
                case 6: count <<= 2; break;
            }
            expected[i] = count;
            for (int other = i & ~31; other < (i | 31) + 1; other++)
                masks[i] |= (other & 7) == 5 && other > 50 ? 0 : 1 << (other & 31);
        }
        Assert.Equal(expected, module.Download<int>(steps, n));
        Assert.Equal(masks, module.Download<int>(meeting, n));
    }
}
