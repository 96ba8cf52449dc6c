using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>Launches that the device or the kernel does not allow are refused, and harm nothing.</summary>
public sealed class LaunchHazardTests : HazardLab
{
    private const string Source = """
        struct Pair { int a, b; };

        extern "C" __global__ void k(int* x, float scale, long long n, short s, Pair pair)
        {
            x[threadIdx.x] = (int)(scale * n) + s + pair.a + pair.b;
        }
        """;

    [SkippableFact]
    public void ArgumentsAreComparedWithTheParameters()
    {
        var x = Ints(32, "x");
        var kernel = Compile(Source);
        var pair = new Pair(1, 2);
        KernelArg structure;
        unsafe
        {
            structure = KernelArg.Struct(&pair);
        }
        AssertRefused(kernel, "4 arguments for 5 parameters", x.Pointer, 1f, 2L, (short)3);
        AssertRefused(kernel, "argument 1 is an integer, the parameter is .f32", x.Pointer, 1, 2L, (short)3, structure);
        AssertRefused(kernel, "argument 1 has 8 bytes, the parameter 4", x.Pointer, 1.0, 2L, (short)3, structure);
        AssertRefused(kernel, "argument 2 has 4 bytes, the parameter 8", x.Pointer, 1f, 2, (short)3, structure);
        AssertRefused(kernel, "argument 2 is a floating-point number, the parameter is .u64", x.Pointer, 1f, 2.0, (short)3, structure);
        AssertRefused(kernel, "argument 3 has 4 bytes, the parameter 2", x.Pointer, 1f, 2L, 3, structure);
        AssertRefused(kernel, "argument 4 has 4 bytes, the parameter 8", x.Pointer, 1f, 2L, (short)3, 4);
        AssertRefused(kernel, "argument 0 has 4 bytes, the parameter 8", 5, 1f, 2L, (short)3, structure);
        kernel.Launch(1, 32, 0, x.Pointer, 2f, 5L, (short)3, structure);
        Assert.Equal(16, Read(x)[31]);
        Assert.False(Context.IsLost);
    }

    [SkippableFact]
    public void DimensionsAreComparedWithTheDevice()
    {
        var kernel = Compile("extern \"C\" __global__ void k() { }");
        (Dim3 Grid, Dim3 Block)[] wrong =
        [
            (1, 1025), (1, (33, 32)), (1, (1, 1, 65)), (1, (2048, 1, 1)), (1, 0), (1, (32, 0)), (0, 32), ((1, 0), 32), (-1, 32), ((1, 65536), 32), ((1, 1, 65536), 32),
        ];
        foreach (var (grid, block) in wrong)
        {
            var error = Assert.Throws<CudaException>(() => kernel.Launch(grid, block, 0));
            Assert.Equal(CudaResult.InvalidValue, error.Result);
            Assert.Contains($"grid {grid}, block {block}", error.Message);
        }
        kernel.Launch((1, 2, 3), (8, 8, 8), 0);
        Context.Synchronize();
    }

    [SkippableFact]
    public void SharedMemoryIsComparedWithTheDevice()
    {
        var kernel = Compile("extern \"C\" __global__ void k(int* x) { __shared__ int tile[1024]; tile[threadIdx.x] = 1; x[threadIdx.x] = tile[threadIdx.x]; }");
        Assert.Equal(4096, Driver.GetFunctionAttribute(kernel.Function, FunctionAttribute.SharedSizeBytes));
        var x = Ints(32, "x");
        var stream = Context.Stream.Handle;
        var error = Assert.Throws<CudaException>(() => Driver.Launch(kernel.Function, 1, 32, 48 * 1024 - 4096 + 1, stream, x.Pointer));
        Assert.Equal(CudaResult.InvalidValue, error.Result);
        Assert.Contains("MaxDynamicSharedSizeBytes", error.Message);
        Assert.Throws<CudaException>(() => kernel.Launch(1, 32, 163 * 1024, x.Pointer));
        kernel.Launch(1, 32, 159 * 1024, x.Pointer);
        Context.Synchronize();
        Assert.Equal(1, kernel.MaxActiveBlocks(32, 159 * 1024));
    }

    [SkippableFact]
    public void TheBoundsThatAKernelDeclaresAreKept()
    {
        var kernel = Compile("extern \"C\" __global__ void __launch_bounds__(128) k(int* x) { x[threadIdx.x] = 1; }");
        var x = Ints(256, "x");
        Assert.Equal(128, kernel.MaxThreadsPerBlock);
        var error = Assert.Throws<CudaException>(() => kernel.Launch(1, 129, 0, x.Pointer));
        Assert.Equal(CudaResult.LaunchOutOfResources, error.Result);
        Assert.False(error.Sticky);
        Assert.Equal(0, kernel.MaxActiveBlocks(129, 0));
        kernel.Launch(1, 128, 0, x.Pointer);
        Context.Synchronize();
    }

    private static void AssertRefused(CudaKernel kernel, string why, params ReadOnlySpan<KernelArg> args)
    {
        KernelArg[] copy = args.ToArray();
        var error = Assert.Throws<CudaException>(() => kernel.Launch(1, 32, 0, copy));
        Assert.Equal(CudaResult.InvalidValue, error.Result);
        Assert.Contains(why, error.Message);
        Assert.Contains("of k with grid (1,1,1), block (32,1,1)", error.Message);
    }

    private readonly record struct Pair(int A, int B);
}
