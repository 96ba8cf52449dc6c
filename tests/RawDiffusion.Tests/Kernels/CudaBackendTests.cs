using RawDiffusion.Backends;

namespace RawDiffusion.Tests.Kernels;

/// <summary>What the Cuda backend does beside its kernels: memory, windows, errors; and that its random bits are everybody's.</summary>
public class CudaBackendTests
{
    // Seed, stream and offset use their upper words too.
    private static readonly PhiloxState s_state = new(0x1234567890ABCDEF, 0x0000FEDCBA098765, 0xFFFFFFFE);

    [SkippableFact]
    public void ValuesComeBackAsTheyWereUploaded()
    {
        var device = Emulated.Plain.Device;
        float[] floats = [1.5f, -0f, float.NaN, float.PositiveInfinity, float.Epsilon];
        var x = device.Allocate(DType.Float32, floats.Length);
        device.Upload(floats, x);
        var read = new float[floats.Length];
        device.Download(x, read);
        Assert.Equal(floats.Select(BitConverter.SingleToUInt32Bits), read.Select(BitConverter.SingleToUInt32Bits));

        device.Upload([1.0, 1 + 1e-12, 1e300, -2.5, 0], x);
        var doubles = new double[floats.Length];
        device.Download(x, doubles);
        Assert.Equal([1, 1, double.PositiveInfinity, -2.5, 0], doubles);

        var index = device.Allocate(DType.Int32, 3);
        device.Upload([int.MinValue, 0, int.MaxValue], index);
        var integers = new int[3];
        device.Download(index, integers);
        Assert.Equal([int.MinValue, 0, int.MaxValue], integers);
    }

    [SkippableFact]
    public void FillSetsEveryElementOfItsTypeAndNoOther()
    {
        var device = Emulated.Plain.Device;
        var whole = device.Allocate(DType.Float32, 9);
        device.Fill(whole, 1.5);
        device.Fill(whole.Slice(3, 4), -2);
        var read = new float[9];
        device.Download(whole, read);
        Assert.Equal([1.5f, 1.5f, 1.5f, -2, -2, -2, -2, 1.5f, 1.5f], read);

        var index = device.Allocate(DType.Int32, 2);
        device.Fill(index, -7);
        var integers = new int[2];
        device.Download(index, integers);
        Assert.Equal([-7, -7], integers);
    }

    /// <summary>Windows need not begin where four elements can be loaded at once.</summary>
    [SkippableTheory]
    [InlineData(0, 16)]
    [InlineData(1, 7)]
    [InlineData(2, 1)]
    [InlineData(3, 13)]
    public void WindowsAtAnyOffsetAreWrittenAndReadWithinTheirBounds(int offset, int length)
    {
        var device = Emulated.Plain.Device;
        var whole = device.Allocate(DType.Float32, 20);
        device.Fill(whole, 99);
        device.Normal(NormalMethod.BoxMuller, s_state, whole.Slice(offset, length));
        var alone = device.Allocate(DType.Float32, length);
        device.Normal(NormalMethod.BoxMuller, s_state, alone);
        float[] read = new float[20], expected = new float[20];
        Array.Fill(expected, 99f);
        device.Download(alone, expected.AsSpan(offset, length));
        device.Download(whole, read);
        Assert.Equal(expected, read);

        var kept = device.Allocate(DType.Float32, length);
        device.Dropout(s_state, 0, whole.Slice(offset, length), kept);
        var passed = new float[length];
        device.Download(kept, passed);
        Assert.Equal(expected[offset..(offset + length)], passed);
    }

    [SkippableFact]
    public void AWindowBeyondItsStorageIsRefused()
    {
        var x = Emulated.Plain.Device.Allocate(DType.Float32, 8);
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Slice(4, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Slice(-1, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Slice(int.MaxValue, int.MaxValue));
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Slice(2, 3).Slice(1, 3));
    }

    [SkippableFact]
    public void Float64IsRefused()
    {
        string message = Assert.Throws<ArgumentException>(() => Emulated.Plain.Device.Allocate(DType.Float64, 1)).Message;
        Assert.Contains("emulated", message);
        Assert.Contains("reference", message);
    }

    [SkippableFact]
    public void AReleasedStorageIsReusedAndCannotBeUsed()
    {
        TestNvrtc.Require();
        using var device = Emulated.Plain.New();
        var x = device.Allocate(DType.Float32, 1000);
        int generation = x.Generation;
        long made = device.Statistics.Allocations;
        device.Release(x);
        Assert.NotEqual(generation, x.Generation);
        Assert.True(device.Statistics.BytesFree >= 4000);
        Assert.Throws<ObjectDisposedException>(() => device.Fill(x, 0));
        device.Fill(device.Allocate(DType.Float32, 1000), 0);
        Assert.Equal(made, device.Statistics.Allocations);
    }

    [SkippableFact]
    public void AForgottenStorageGoesBackToThePool()
    {
        TestNvrtc.Require();
        using var device = Emulated.Plain.New();
        Forget(device);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        long made = device.Statistics.Allocations;
        var again = device.Allocate(DType.Float32, 1000);
        Assert.Equal(made, device.Statistics.Allocations);
        GC.KeepAlive(again);

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static void Forget(Backend device) => device.Fill(device.Allocate(DType.Float32, 1000), 1);
    }

    /// <summary>Scratch memory too: sums of long rows and columns, losses, gradients of norms.</summary>
    [SkippableFact]
    public void AStepThatHasRunOnceAllocatesNothing()
    {
        TestNvrtc.Require();
        using var device = Emulated.Plain.New();
        var x = Tensor.Randn(new Generator(1), [3, 9000], device: device).RequireGrad();
        Step();
        long made = device.Statistics.Allocations;
        Step();
        Assert.Equal(made, device.Statistics.Allocations);

        void Step()
        {
            using var scope = new MemoryScope();
            Autograd.Grad(F.Silu(x).Sum(1).Sum() + F.Softmax(x).Sum(0).LogSumExp([0]), [x]);
        }
    }

    [SkippableTheory]
    [InlineData(0, 10)]
    [InlineData(-5, 6)]
    [InlineData(int.MinValue, int.MaxValue)]
    [InlineData(0, 1)]
    [InlineData(-1_500_000_000, 1_500_000_000)]
    public void RandomIntegersAreTheSameOnEveryDevice(int low, int high)
    {
        // The last range rejects three integers of ten: redraws are the same too.
        int[] reference = Integers(Device.Reference, low, high);
        Assert.Equal(reference, Integers(Device.Cpu, low, high));
        Assert.Equal(reference, Integers(Emulated.Plain.Device, low, high));
        Assert.All(reference, value => Assert.InRange(value, low, high - 1));
    }

    [SkippableFact]
    public void RandomBitsAreTheSameOnEveryDevice()
    {
        float[] reference = Uniforms(Device.Reference);
        Assert.Equal(reference, Uniforms(Device.Cpu));
        Assert.Equal(reference, Uniforms(Emulated.Plain.Device));
    }

    /// <summary>u is a multiple of 2^-24, and probabilities just above, at and below one decide differently.</summary>
    [SkippableTheory]
    [InlineData(0.0)]
    [InlineData(0.3)]
    [InlineData(0.5)]
    [InlineData(0.999999)]
    public void DropoutDropsTheSameElementsOnEveryDevice(double p)
    {
        float[] reference = Dropped(Device.Reference, p);
        Assert.Equal(reference, Dropped(Device.Cpu, p));
        Assert.Equal(reference, Dropped(Emulated.Plain.Device, p));
        var first = new float[1];
        Array.Copy(Uniforms(Device.Reference), first, 1);
        Assert.Equal(0, Dropped(Emulated.Plain.Device, Math.BitIncrement(first[0]))[0]);
        Assert.NotEqual(0, Dropped(Emulated.Plain.Device, first[0])[0]);
    }

    [SkippableFact]
    public void ALaunchOfNothingIsNothing()
    {
        var device = Emulated.Plain.Device;
        var empty = device.Allocate(DType.Float32, 0);
        device.Uniform(s_state, 0, 1, empty);
        device.Accumulate(empty, empty);
        device.Reduce(ReduceOp.Sum, new ReduceGeometry(0, 5, 1), empty, empty);
        var zeros = device.Allocate(DType.Float32, 2);
        device.Reduce(ReduceOp.Sum, new ReduceGeometry(2, 0, 1), empty, zeros);
        var read = new float[2];
        device.Download(zeros, read);
        Assert.Equal([0, 0], read);
        device.Synchronize();
    }

    private static int[] Integers(Backend device, int low, int high)
    {
        var y = device.Allocate(DType.Int32, 1003);
        device.Integers(s_state, low, high, y);
        var values = new int[y.Length];
        device.Download(y, values);
        return values;
    }

    private static float[] Uniforms(Backend device)
    {
        var y = device.Allocate(device.FloatType, 1003);
        device.Uniform(s_state, 0, 1, y);
        var values = new float[y.Length];
        device.Download(y, values);
        return values;
    }

    /// <summary>Which elements of ones are kept.</summary>
    private static float[] Dropped(Backend device, double p)
    {
        Storage x = device.Allocate(device.FloatType, 1003), y = device.Allocate(device.FloatType, 1003);
        device.Fill(x, 1);
        device.Dropout(s_state, p, x, y);
        var values = new float[y.Length];
        device.Download(y, values);
        return Array.ConvertAll(values, value => value == 0 ? 0f : 1f);
    }
}
