using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>The types that every driver speaks.</summary>
public class ContractTests
{
    [Fact]
    public void AnArgumentKeepsItsBytesSizeAndKind()
    {
        AssertArgument(1.5f, KernelArgKind.Float, BitConverter.GetBytes(1.5f));
        AssertArgument(1.5, KernelArgKind.Float, BitConverter.GetBytes(1.5));
        AssertArgument((Half)1.5f, KernelArgKind.Float, BitConverter.GetBytes((Half)1.5f));
        AssertArgument(KernelArg.BFloat16(0x3fc0), KernelArgKind.Float, [0xc0, 0x3f]);
        AssertArgument(-2, KernelArgKind.Integer, BitConverter.GetBytes(-2));
        AssertArgument(uint.MaxValue, KernelArgKind.Integer, BitConverter.GetBytes(uint.MaxValue));
        AssertArgument(-2L, KernelArgKind.Integer, BitConverter.GetBytes(-2L));
        AssertArgument(ulong.MaxValue, KernelArgKind.Integer, BitConverter.GetBytes(ulong.MaxValue));
        AssertArgument((short)-2, KernelArgKind.Integer, BitConverter.GetBytes((short)-2));
        AssertArgument((ushort)65000, KernelArgKind.Integer, BitConverter.GetBytes((ushort)65000));
        AssertArgument((sbyte)-2, KernelArgKind.Integer, [0xfe]);
        AssertArgument((byte)200, KernelArgKind.Integer, [200]);
        AssertArgument(true, KernelArgKind.Integer, [1]);
        AssertArgument(new DevicePointer(0x123456789abc), KernelArgKind.Pointer, BitConverter.GetBytes(0x123456789abcul));
    }

    [Fact]
    public unsafe void AStructIsReadWhereItLies()
    {
        var value = new Sample(1, 2.5f, 3L, 4.5);
        var arg = KernelArg.Struct(&value);
        value.A = 7;
        Assert.Equal(KernelArgKind.Struct, arg.Kind);
        Assert.Equal(24, arg.Size);
        Assert.Equal(7, BitConverter.ToInt32(arg.Bytes));
        Assert.Equal(4.5, BitConverter.ToDouble(arg.Bytes[16..]));
    }

    [Fact]
    public unsafe void ATupleIsRefusedSinceItsFieldsAreReordered() =>
        Assert.Contains("ValueTuple", Assert.Throws<ArgumentException>(() => KernelArg.Struct<(int, float, long)>(null)).Message);

    [Fact]
    public void ArgumentsNeitherBoxNorAllocate()
    {
        static int Take(params ReadOnlySpan<KernelArg> args) => args.Length + args[1].Bytes[0];
        int sum = Take(new DevicePointer(1), 2, 3f, 4.0, 5L);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10_000; i++)
            sum += Take(new DevicePointer((ulong)i), i, 3f, 4.0, 5L);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.NotEqual(0, sum);
    }

    [Theory]
    [InlineData(CudaResult.Success, "CUDA_SUCCESS")]
    [InlineData(CudaResult.OutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY")]
    [InlineData(CudaResult.NoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU")]
    [InlineData(CudaResult.InvalidPc, "CUDA_ERROR_INVALID_PC")]
    [InlineData(CudaResult.GraphExecUpdateFailure, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE")]
    [InlineData((CudaResult)804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE")]
    [InlineData((CudaResult)12345, "CUDA error 12345")]
    public void ErrorsHaveTheNamesOfTheDriver(CudaResult result, string name) => Assert.Equal(name, result.Name());

    [Fact]
    public void AnErrorNamesCallErrorKernelAndLaunch()
    {
        var error = new CudaException("cuLaunchKernel", CudaResult.InvalidValue, "more threads than a block may have",
            "groupnorm_forward_f32", new LaunchDimensions((3, 2), 2048, 4096));
        Assert.Equal(
            "cuLaunchKernel of groupnorm_forward_f32 with grid (3,2,1), block (2048,1,1), 4096 bytes of dynamic shared memory: "
            + "CUDA_ERROR_INVALID_VALUE (1): more threads than a block may have", error.Message);
        Assert.False(error.Sticky);
    }

    [Fact]
    public void AFaultOfAKernelLosesTheDevice()
    {
        var error = new CudaException("cuStreamSynchronize", CudaResult.IllegalAddress);
        Assert.True(error.Sticky);
        Assert.Equal("cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS (700). The device is lost to this process: start it again.", error.Message);
        Assert.False(CudaResult.OutOfMemory.IsSticky());
        Assert.False(CudaResult.LaunchOutOfResources.IsSticky());
    }

    /// <summary>The codes of which cuda.h of CUDA 13 says that the context cannot be used any more or that all further work returns the same error.</summary>
    [Fact]
    public void TheErrorsThatEndAContextAreThoseOfTheHeader() =>
        Assert.Equal([4, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911],
            Enum.GetValues<CudaResult>().Where(result => result.IsSticky()).Select(result => (int)result).Order());

    [Theory]
    [InlineData("sm_75", 75, true)]
    [InlineData("sm_90a", 90, true)]
    [InlineData("sm_120f", 120, true)]
    [InlineData("compute_80", 80, false)]
    public void ATargetSaysWhatItIs(string architecture, int capability, bool cubin)
    {
        var target = new KernelTarget(architecture);
        Assert.Equal((capability, cubin, architecture), (target.ComputeCapability, target.IsCubin, target.ToString()));
    }

    [Theory]
    [InlineData("80")]
    [InlineData("sm_")]
    [InlineData("sm_8")]
    [InlineData("sm_90ab")]
    [InlineData("sm_9x")]
    [InlineData("gfx90a")]
    public void WhatIsNoArchitectureIsRefused(string architecture) =>
        Assert.Contains(architecture, Assert.Throws<ArgumentException>(() => new KernelTarget(architecture)).Message);

    [Fact]
    public void PointersCountBytes()
    {
        var pointer = new DevicePointer(0x7f0000000000);
        Assert.Equal(0x7f0000000010ul, (pointer + 16).Address);
        Assert.Equal(16, pointer + 16 - pointer);
        Assert.Equal(pointer, pointer + 16 - 16L);
        Assert.Equal("0x7f0000000000", pointer.ToString());
        Assert.True(DevicePointer.Null.IsNull);
    }

    private record struct Sample(int A, float B, long C, double D);

    private static void AssertArgument(KernelArg arg, KernelArgKind kind, byte[] bytes)
    {
        Assert.Equal(kind, arg.Kind);
        Assert.Equal(bytes, arg.Bytes.ToArray());
    }
}
