using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda.Ladders;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// Elements of 16 and of 32 bits are moved unchanged between windows that begin anywhere, by the widest units that fit; permutes go through
/// tiles whose reads, writes and banks are free of waste.
/// </summary>
public class ShapingKernelTests
{
    public static TheoryData<DType, int> TypesAndOffsets => new()
    {
        { DType.Float32, 0 }, { DType.Float32, 1 }, { DType.BFloat16, 0 }, { DType.BFloat16, 1 }, { DType.BFloat16, 2 },
    };

    [SkippableTheory]
    [MemberData(nameof(TypesAndOffsets))]
    public void PermutesOfAnyWindowMoveEveryElement(DType type, int offset)
    {
        (int[] Shape, int[] Axes)[] permutes =
        [
            // Tiles that fit, tiles cut at both borders, pairs and odd numbers, matrices in batches, axes too short for tiles, runs that stay.
            ([64, 128], [1, 0]), ([70, 34], [1, 0]), ([33, 71], [1, 0]), ([3, 40, 24], [0, 2, 1]), ([9, 5, 17], [2, 0, 1]), ([2, 3, 8, 10], [3, 0, 2, 1]),
            ([50, 3], [1, 0]), ([3, 4, 16], [1, 0, 2]), ([2, 3, 2, 3, 2, 16], [5, 4, 3, 2, 1, 0]),
        ];
        foreach (var (shape, axes) in permutes)
        {
            double[] Run(KernelArrays arrays)
            {
                Storage x = arrays.Random(new Shape(shape).Count), y = arrays.Empty(x.Length);
                arrays.Device.Permute(new Shape(shape), axes, x, y);
                return arrays.Read(y);
            }
            var arrays = new KernelArrays(Emulated.Plain.Device, type, offset);
            Assert.Equal(Run(new KernelArrays(Device.Reference, type)), Run(arrays));
            arrays.AssertNothingElseWritten();
        }
    }

    [SkippableTheory]
    [MemberData(nameof(TypesAndOffsets))]
    public void RegionsJoinsSplitsAndBroadcastsOfAnyWindowMoveEveryElement(DType type, int offset)
    {
        foreach (int columns in (int[])[16, 6, 5])
        {
            Dictionary<string, double[]> Run(KernelArrays arrays)
            {
                var device = arrays.Device;
                Storage x = arrays.Random(7 * 3 * columns), y = arrays.Random(7 * 3 * columns);
                Storage box = arrays.Random(9 * 2 * columns), joined = arrays.Empty(2 * x.Length), left = arrays.Empty(x.Length), right = arrays.Empty(x.Length);
                Storage repeated = arrays.Empty(4 * columns * 3);
                device.CopyRegion([7, 3, columns], [1, 1, 0], x, [9, 2, columns], [2, 0, 0], box, [5, 2, columns]);
                device.Join(21, columns, columns, x, y, joined);
                device.Split(21, columns, columns, joined, left, right);
                device.Broadcast(new BroadcastGeometry([4, 3, columns], [3, columns], [3, columns]), x.Slice(0, 3 * columns), repeated);
                return new()
                {
                    ["region"] = arrays.Read(box), ["join"] = arrays.Read(joined), ["left"] = arrays.Read(left), ["right"] = arrays.Read(right),
                    ["broadcast"] = arrays.Read(repeated),
                };
            }
            var arrays = new KernelArrays(Emulated.Plain.Device, type, offset);
            var actual = Run(arrays);
            foreach (var (what, expected) in Run(new KernelArrays(Device.Reference, type)))
                Assert.True(expected.SequenceEqual(actual[what]), $"{what} of {columns} columns");
            arrays.AssertNothingElseWritten();
        }
    }

    /// <summary>
    /// The naive rung reads 32 sectors for 128 bytes, the tiled one 4 on both sides, each byte once, and no two lanes of it want different
    /// words of a bank. Elements of 16 bits go by pairs and are no worse.
    /// </summary>
    [SkippableTheory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void ATiledPermuteReadsAndWritesWholeSectorsWithoutBankConflicts(DType type)
    {
        const int rows = 64, columns = 128;
        long array = rows * columns * type.Size();
        using var traffic = new KernelTraffic();
        var arrays = new KernelArrays(traffic.Device, type);
        Storage x = arrays.Random(rows * columns), y = arrays.Empty(x.Length);

        using (traffic.Device.Use(ShapingLadders.Naive))
            traffic.Device.Permute([rows, columns], [1, 0], x, y);
        var naive = traffic.Of(type == DType.BFloat16 ? "shaping_copy_b16" : "shaping_copy_b32");
        Assert.Equal(32 * 32, naive.Loads.Bytes / naive.Loads.Requests);

        traffic.Device.Permute([rows, columns], [1, 0], x, y);
        var tiled = traffic.Of(type == DType.BFloat16 ? "shaping_transpose_pairs_b16" : "shaping_transpose_b32");
        Assert.Equal((array, array), (tiled.Loads.Bytes, tiled.Stores.Bytes));
        Assert.Equal((4 * 32, 4 * 32), (tiled.Loads.Bytes / tiled.Loads.Requests, tiled.Stores.Bytes / tiled.Stores.Requests));
        Assert.Equal(0, tiled.BankConflicts);
    }

    [SkippableFact]
    public void TheTiledRungRefusesWhatItCannotDo()
    {
        TestNvrtc.Require();
        // Its own: to force a rung is to force it on all who share the device.
        using var device = Emulated.Plain.New();
        Storage x = device.Allocate(DType.Float32, 24), y = device.Allocate(DType.Float32, 24);
        using (device.Use(ShapingLadders.Tiled))
            Assert.Contains($"permuting {new Shape(2, 3, 4)} by (1, 0, 2)", Assert.Throws<NotSupportedException>(() => device.Permute([2, 3, 4], [1, 0, 2], x, y)).Message);
    }

    /// <summary>Heads moved before pixels, a window of rows, two arrays side by side: runs of whole 16 bytes are moved as such.</summary>
    [SkippableTheory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void RunsOfWhole16BytesAreMovedIn16Bytes(DType type)
    {
        using var traffic = new KernelTraffic();
        var arrays = new KernelArrays(traffic.Device, type);
        Storage x = arrays.Random(4096), y = arrays.Empty(4096), both = arrays.Empty(8192);
        long array = 4096 * type.Size();
        traffic.Device.Permute([2, 32, 4, 16], [0, 2, 1, 3], x, y);
        traffic.Device.CopyRegion([16, 256], [0, 0], x, [32, 128], [0, 0], y, [16, 128]);
        var copied = traffic.Of("shaping_copy_b128");
        Assert.Equal((array + array / 2, array + array / 2, 512.0), (copied.Loads.Bytes, copied.Stores.Bytes, copied.BytesPerRequest));

        traffic.Device.Join(64, 64, 64, x, x, both);
        traffic.Device.Split(64, 64, 64, both, x, y);
        foreach (string kernel in (string[])["shaping_join_b128", "shaping_split_b128"])
        {
            var moved = traffic.Of(kernel);
            Assert.Equal((2 * array, 2 * array), (moved.Loads.Bytes, moved.Stores.Bytes));
        }
    }
}
