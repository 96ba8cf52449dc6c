using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>Products by cuBLAS, against a stand-in that multiplies on the host. What the real one makes of the calls only a GPU can show.</summary>
public sealed class CublasTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableFact]
    public void RowMajorProductsAreAskedForRightly()
    {
        FakeLibrary.Compile("Driver/fake_libcuda.c", _folder.Path, "libcuda.so.1");
        FakeLibrary.Compile("Blas/fake_libcublas.c", _folder.Path, "libcublas.so.12");
        using var process = ChildProcess.Start("cublas", "",
            ("RAWDIFFUSION_CUDA_LIBRARIES", _folder.Path), ("RAWDIFFUSION_FAKE_LOG", Path.Combine(_folder.Path, "log")));
        Assert.Equal("ok", ChildProcess.Finish(process));
    }

    [Fact]
    public void AnEmulatedDeviceHasNone()
    {
        using var context = new CudaContext(new FakeDriver());
        Assert.Contains("real GPU only", Assert.Throws<NotSupportedException>(() => new Cublas(context)).Message);
    }

    /// <summary>The part that runs in the other process.</summary>
    public static unsafe string Multiply()
    {
        using var context = new CudaContext(new NativeCudaDriver());
        using var cublas = new Cublas(context);
        Assert.Equal(120405, cublas.Version);
        Assert.Equal(new Version(12, 4, 5), Cublas.LibraryVersion);
        cublas.Math = CublasMath.Tf32;
        Assert.Equal("cublasSetMathMode: CUBLAS_STATUS_NOT_SUPPORTED (15).", Assert.Throws<CublasException>(() => cublas.Math = CublasMath.Pedantic).Message);

        const int M = 3, N = 5, K = 4;
        // Small whole numbers: exact in bfloat16 and in every order of summation.
        float[] a = [.. Enumerable.Range(0, M * K).Select(i => (float)(i * 7 % 11 - 5))];
        float[] b = [.. Enumerable.Range(0, K * N).Select(i => (float)(i * 5 % 13 - 6))];
        ushort[] a16 = [.. a.Select(Upper)], b16 = [.. b.Select(Upper)];
        foreach (bool transposeA in (bool[])[false, true])
        {
            foreach (bool transposeB in (bool[])[false, true])
            {
                float[] c = new float[M * N], c16 = new float[M * N], expected = new float[M * N];
                for (int i = 0; i < M * N; i++)
                {
                    c[i] = c16[i] = i;
                    float sum = 0;
                    for (int k = 0; k < K; k++)
                        sum += (transposeA ? a[k * M + i / N] : a[i / N * K + k]) * (transposeB ? b[i % N * K + k] : b[k * N + i % N]);
                    expected[i] = 2 * sum - i;
                }
                fixed (float* pa = a, pb = b, pc = c, pc16 = c16)
                fixed (ushort* pa16 = a16, pb16 = b16)
                {
                    cublas.Sgemm(transposeA, transposeB, M, N, K, 2, At(pa), At(pb), -1, At(pc));
                    cublas.GemmEx(transposeA, transposeB, M, N, K, 2, At(pa16), At(pb16), CublasType.BFloat16, -1, At(pc16), CublasType.Float32);
                }
                Assert.Equal(expected, c);
                Assert.Equal(expected, c16);
            }
        }
        return "ok";

        static ushort Upper(float x) => (ushort)(BitConverter.SingleToUInt32Bits(x) >> 16);
        static DevicePointer At(void* pointer) => new((ulong)pointer);
    }
}
