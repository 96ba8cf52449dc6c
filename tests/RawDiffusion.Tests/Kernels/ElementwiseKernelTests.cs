using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion.Tests.Kernels;

/// <summary>Elementwise kernels in float32 and bfloat16, in windows that begin anywhere, against Reference; and what they move.</summary>
public class ElementwiseKernelTests
{
    public static TheoryData<DType, int, int> TypesOffsetsAndLengths
    {
        get
        {
            var data = new TheoryData<DType, int, int>();
            foreach (var type in (DType[])[DType.Float32, DType.BFloat16])
            {
                // Whole packs, less than one, and a tail; where 16 bytes begin, and where they do not.
                foreach (var (offset, length) in ((int, int)[])[(0, 1024), (0, 3), (0, 1037), (1, 64), (2, 9), (4, 333), (8, 333)])
                    data.Add(type, offset, length);
            }
            return data;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(TypesOffsetsAndLengths))]
    public void WindowsAtAnyOffsetAgreeWithReference(DType type, int offset, int length)
    {
        var arrays = new KernelArrays(Emulated.Plain.Device, type, offset);
        var actual = Run(arrays, length);
        var expected = Run(new KernelArrays(Device.Reference, type), length);
        foreach (var (what, values) in actual)
            KernelArrays.AssertClose(what, type, 1, values, expected[what]);
        arrays.AssertNothingElseWritten();
    }

    /// <summary>Bias along the last axis, a value per sample, both ways round, an outer product; rows of whole packs and others.</summary>
    [SkippableTheory]
    [InlineData(DType.Float32, 0, 16)]
    [InlineData(DType.BFloat16, 0, 16)]
    [InlineData(DType.Float32, 3, 16)]
    [InlineData(DType.BFloat16, 3, 16)]
    [InlineData(DType.Float32, 0, 6)]
    [InlineData(DType.BFloat16, 0, 12)]
    public void BroadcastingOfAnyWindowAgreesWithReference(DType type, int offset, int columns)
    {
        (Shape X, Shape Y)[] pairs =
        [
            ([5, columns], [columns]), ([columns], [5, columns]), ([3, 7, columns], [3, 1, 1]), ([3, 1, 1], [3, 7, columns]),
            ([5, 1], [1, columns]), ([2, 7, columns], [2, 1, columns]), ([2, 1, 3, columns], [5, 1, columns]), ([4, columns], []),
        ];
        foreach (var (x, y) in pairs)
        {
            var arrays = new KernelArrays(Emulated.Plain.Device, type, offset);
            double[] actual = RunBroadcast(arrays, x, y), expected = RunBroadcast(new KernelArrays(Device.Reference, type), x, y);
            KernelArrays.AssertClose($"{x} - {y}", type, 1, actual, expected);
            arrays.AssertNothingElseWritten();
        }
    }

    /// <summary>float32 to bfloat16 rounds to the nearest, ties to even, and back is exact: as BFloat16 says it, bit for bit.</summary>
    [SkippableTheory]
    [InlineData(0, 0, 77)]
    [InlineData(1, 0, 40)]
    [InlineData(0, 1, 40)]
    [InlineData(4, 4, 21)]
    public void ConversionsRoundToEvenAndAreExactBackwards(int offsetX, int offsetY, int length)
    {
        var device = Emulated.Plain.Device;
        var values = new float[length];
        for (int i = 0; i < length; i++)
            values[i] = BitConverter.UInt32BitsToSingle(0x3F7F_8000u + (uint)i * 0x4000u);
        (values[0], values[^1]) = (float.NaN, float.NegativeInfinity);
        Storage x = device.Allocate(DType.Float32, offsetX + length).Slice(offsetX, length), y = device.Allocate(DType.BFloat16, offsetY + length).Slice(offsetY, length);
        var back = device.Allocate(DType.Float32, offsetX + length).Slice(offsetX, length);
        device.Upload(values, x);
        device.Cast(x, y);
        device.Cast(y, back);
        var read = new float[length];
        device.Download(back, read);
        Assert.Equal(values.Select(value => BFloat16.Value(BFloat16.Round(value))), read);
    }

    /// <summary>
    /// Every element is read and written once, in 16 bytes a lane: 16 sectors a request, of which all are used. The unary operator takes 2
    /// elements, the binary 3, a choice 4, a conversion 6 bytes.
    /// </summary>
    [SkippableTheory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void EveryElementIsReadAndWrittenOnceIn16Bytes(DType type)
    {
        using var traffic = new KernelTraffic();
        var arrays = new KernelArrays(traffic.Device, type);
        const int length = 8192;
        Run(arrays, length);
        string suffix = type == DType.BFloat16 ? "bf16" : "f32";
        long array = (long)length * type.Size();
        foreach (var (kernel, loads) in ((string, int)[])[("elementwise_unary", 1), ("elementwise_binary", 2), ("elementwise_where", 3)])
        {
            var moved = traffic.Of($"{kernel}_{suffix}");
            Assert.Equal((loads * array * moved.Launches, array * moved.Launches), (moved.Loads.Bytes, moved.Stores.Bytes));
            Assert.Equal(512, moved.BytesPerRequest);
        }

        var from = type == DType.BFloat16 ? arrays.Empty(length) : arrays.EmptyFloats(length);
        var to = traffic.Device.Allocate(type == DType.BFloat16 ? DType.Float32 : DType.BFloat16, length);
        traffic.Device.Cast(from, to);
        var cast = traffic.Of(type == DType.BFloat16 ? "elementwise_cast_bf16_f32" : "elementwise_cast_f32_bf16");
        Assert.Equal(6 * length, cast.Bytes);
        // 16 bytes a lane of the floats and 8 of the others.
        Assert.Equal(384, cast.BytesPerRequest);
    }

    /// <summary>A bias and a value per sample come from the cache: they add one read of theirs for each row, and 16-byte requests remain.</summary>
    [SkippableTheory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void BroadcastRowsAreReadAndWrittenIn16Bytes(DType type)
    {
        string suffix = type == DType.BFloat16 ? "bf16" : "f32";
        long array = 64 * 512 * type.Size();
        using var bias = new KernelTraffic();
        RunBroadcast(new KernelArrays(bias.Device, type), [64, 512], [512]);
        var moved = bias.Of($"elementwise_binary_rows_{suffix}");
        Assert.Equal((2 * array, array, 512.0), (moved.Loads.Bytes, moved.Stores.Bytes, moved.BytesPerRequest));

        using var perSample = new KernelTraffic();
        RunBroadcast(new KernelArrays(perSample.Device, type), [64, 512], [64, 1]);
        moved = perSample.Of($"elementwise_binary_rows_{suffix}");
        // One sector of 32 bytes for a request of 512.
        Assert.Equal((array + array / 16, array), (moved.Loads.Bytes, moved.Stores.Bytes));
    }

    private static Dictionary<string, double[]> Run(KernelArrays arrays, int length)
    {
        var device = arrays.Device;
        Storage x = arrays.Random(length), y = arrays.Random(length), z = arrays.Random(length);
        Storage unary = arrays.Empty(length), binary = arrays.Empty(length), chosen = arrays.Empty(length);
        device.Unary<Sigmoid>(x, unary, 0, 0);
        device.Binary<Sub>(new BroadcastGeometry([length], [length], [length]), x, y, binary, 0);
        device.Unary<Relu>(z, z, 0, 0);
        device.Where(z, x, y, chosen);
        return new() { ["unary"] = arrays.Read(unary), ["in place"] = arrays.Read(z), ["binary"] = arrays.Read(binary), ["where"] = arrays.Read(chosen) };
    }

    private static double[] RunBroadcast(KernelArrays arrays, Shape shapeX, Shape shapeY)
    {
        var output = Shape.Broadcast(shapeX, shapeY, "subtract");
        Storage x = arrays.Random(shapeX.Count), y = arrays.Random(shapeY.Count), z = arrays.Empty(output.Count);
        arrays.Device.Binary<Sub>(new BroadcastGeometry(output, shapeX, shapeY), x, y, z, 0);
        return arrays.Read(z);
    }
}
