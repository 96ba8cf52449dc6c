using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// The kernels of matrix products that a backend chooses from, for every size of tile, layout and type: sizes that fill tiles and such that do
/// not, rows that can be read by 16 bytes and such that cannot, batches with strides, a bias, and the types of C.
/// </summary>
public class MatMulTileTests
{
    public static TheoryData<string, int, string> Kernels
    {
        get
        {
            var all = new TheoryData<string, int, string>();
            foreach (var rung in MatMulLadder.Ladder.Rungs)
            {
                var tiles = CudaBackend.TilesOf(rung);
                for (int i = 0; i < tiles.Count; i++)
                {
                    foreach (string layout in tiles[i].TakesTransposes ? (string[])["nn", "nt", "tn", "tt"] : ["nn"])
                        all.Add(rung.Name, i, layout);
                }
            }
            return all;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Kernels))]
    public void EveryTileMultipliesEveryLayout(string rungName, int tileIndex, string layout)
    {
        var rung = MatMulLadder.Ladder[rungName];
        var tile = CudaBackend.TilesOf(rung)[tileIndex];
        bool transposeA = layout[0] == 't', transposeB = layout[1] == 't';
        // Tiles that are full except at the borders, read by 16 bytes; then lengths that allow no more than an element at a time.
        Multiply(rung, tile, new MatMulGeometry(1, tile.Rows + 8, tile.Columns + 8, 72, transposeA, transposeB, 0, 0), bias: true, wide: true);
        Multiply(rung, tile, new MatMulGeometry(2, 13, 27, 37, transposeA, transposeB, 13 * 37, 0), bias: false, wide: false);
        Multiply(rung, tile, new MatMulGeometry(2, 9, 6, 2, transposeA, transposeB, 0, 6 * 2), bias: true, wide: true);
        Multiply(rung, tile, new MatMulGeometry(1, 5, 3, 0, transposeA, transposeB, 0, 0), bias: true, wide: false);
    }

    [SkippableTheory]
    [InlineData("warp-tiles")]
    [InlineData("double-buffer")]
    [InlineData("multistage-tf32")]
    [InlineData("multistage-bf16")]
    public void ASplitSumIsTheSumOfItsPartsWithTheBiasAddedOnce(string rungName)
    {
        var rung = MatMulLadder.Ladder[rungName];
        var tile = CudaBackend.TilesOf(rung)[^1];
        var g = new MatMulGeometry(1, 20, 24, 1000, true, false, 0, 0);
        Assert.Equal((3, 352), tile.Split(g));
        Multiply(rung, tile, g, bias: true, wide: true);
        Multiply(rung, tile, g, bias: true, wide: false);
    }

    /// <summary>The number of parts follows from the shape: enough blocks for a large GPU, and parts that are worth adding.</summary>
    [Theory]
    [InlineData(1024, 1024, 1024, 4)]
    [InlineData(128, 128, 131072, 256)]
    [InlineData(256, 512, 4096, 16)]
    [InlineData(128, 128, 511, 1)]
    [InlineData(4096, 4096, 4096, 1)]
    public void FewTilesAreSplitAlongTheSummedIndex(int m, int n, int k, int parts)
    {
        var tile = CudaBackend.TilesOf(MatMulLadder.DoubleBuffer)[0];
        var (actual, depth) = tile.Split(new MatMulGeometry(1, m, n, k, false, false, 0, 0));
        Assert.Equal(parts, actual);
        Assert.True(depth % 32 == 0 || parts == 1);
        Assert.InRange((long)actual * depth, k, k + depth - 1);
    }

    [Theory]
    // Large products take the largest tile; where that leaves multiprocessors idle, a smaller one, or parts of the sum.
    [InlineData(4096, 4096, 4096, 128, 256)]
    [InlineData(8192, 128, 512, 64, 64)]
    [InlineData(16384, 128, 512, 128, 128)]
    [InlineData(16384, 64, 64, 64, 64)]
    [InlineData(128, 128, 131072, 128, 128)]
    [InlineData(512, 512, 512, 64, 64)]
    [InlineData(33, 47, 20, 64, 64)]
    public void TheTileFollowsFromTheShape(int m, int n, int k, int rows, int columns)
    {
        var tiles = CudaBackend.TilesOf(MatMulLadder.MultiStageBFloat16).ToArray();
        var tile = MatMulTile.For(new MatMulGeometry(1, m, n, k, false, false, 0, 0), tiles);
        Assert.Equal((rows, columns), (tile.Rows, tile.Columns));
    }

    /// <summary>
    /// A multiprocessor holds one block of 128 x 256: more parts than give it one would be written and added up for nothing. In float32 the
    /// small tile, which waits for memory between its products, is for what the large one cannot fill even in parts.
    /// </summary>
    [SkippableTheory]
    [InlineData("bf16", 256, 256, 32768, 128, 256, 64)]
    [InlineData("fp32", 1024, 1024, 1024, 128, 128, 4)]
    [InlineData("fp32", 2048, 2048, 2048, 128, 128, 1)]
    [InlineData("fp32", 64, 64, 64, 64, 64, 1)]
    public void TheBackendWeighsTilesAgainstParts(string precision, int m, int n, int k, int rows, int columns, int parts)
    {
        TestNvrtc.Require();
        var g = new MatMulGeometry(1, m, n, k, false, false, 0, 0);
        var tile = Emulated.Plain.Device.BestTile(g, precision == "bf16" ? DType.BFloat16 : DType.Float32);
        Assert.Equal((rows, columns, parts), (tile.Rows, tile.Columns, tile.Split(g).Parts));
    }

    /// <summary>Where a multiprocessor has less of what a block needs, shared memory above all, every tile still fits.</summary>
    [Fact]
    public void EveryTileFitsTheSharedMemoryOfEveryGpuWithTensorCoresForBFloat16()
    {
        // Compute capability 8.6, 8.9 and 12.0 have the least: 99 KiB for a block.
        foreach (var rung in MatMulLadder.Ladder.Rungs)
            Assert.All(CudaBackend.TilesOf(rung), tile => Assert.InRange(tile.SharedBytes, 0, 99 * 1024));
        foreach (var tile in ConvolutionTile.All)
            Assert.InRange(Math.Max(tile.SharedBytes(true), tile.SharedBytes(false)), 0, 99 * 1024);
    }

    [SkippableFact]
    public void BelowTensorCoresBFloat16IsConvertedOnTheWay()
    {
        TestNvrtc.Require();
        using var device = new Emulated(computeCapability: 75).New();
        foreach (string layout in (string[])["nn", "nt", "tn", "tt"])
        {
            bool transposeA = layout[0] == 't', transposeB = layout[1] == 't';
            foreach (var tile in (MatMulTile[])[CudaBackend.TilesOf(MatMulLadder.WarpTiles)[0], new("matmul.cu", "matmul_*_64x64", 64, 64, 256)])
            {
                Multiply(device, MatMulLadder.MultiStageBFloat16, tile, new MatMulGeometry(1, 70, 72, 40, transposeA, transposeB, 0, 0), true, true);
                Multiply(device, MatMulLadder.MultiStageBFloat16, tile, new MatMulGeometry(2, 7, 9, 13, transposeA, transposeB, 7 * 13, 9 * 13), false, false);
            }
        }
        // And the backend takes one of them.
        Multiply(device, MatMulLadder.MultiStageBFloat16, null, new MatMulGeometry(1, 40, 40, 40, false, false, 0, 0), true, false);
    }

    /// <summary>Hopper's tensor cores add more terms at a time and keep one bit more.</summary>
    [SkippableFact]
    public void HopperMultipliesByTheSameKernels()
    {
        TestNvrtc.Require();
        using var device = new Emulated(computeCapability: 90).New();
        foreach (var rung in (Rung[])[MatMulLadder.MultiStageTf32, MatMulLadder.MultiStageBFloat16, MatMulLadder.DoubleBuffer])
        {
            Multiply(device, rung, CudaBackend.TilesOf(rung)[0], new MatMulGeometry(1, 136, 264, 40, false, false, 0, 0), true, true);
            Multiply(device, rung, CudaBackend.TilesOf(rung)[^1], new MatMulGeometry(2, 70, 30, 33, true, true, 70 * 33, 0), true, false);
        }
    }

    /// <summary>Thin products have tiles of their own in either type, and in any precision.</summary>
    [SkippableTheory]
    [InlineData(100, 3, 700)]
    [InlineData(3, 100, 700)]
    [InlineData(16, 16, 1500)]
    public void ThinProductsAreExactInFloat32AndTakeBFloat16(int m, int n, int k)
    {
        TestNvrtc.Require();
        using var device = new Emulated().New();
        device.AllowTf32 = true;
        var g = new MatMulGeometry(1, m, n, k, true, false, 0, 0);
        Multiply(device, MatMulLadder.WarpTiles, null, g, true, true);
        Multiply(device, MatMulLadder.MultiStageBFloat16, null, g, true, false);
    }

    private static void Multiply(Rung rung, MatMulTile tile, in MatMulGeometry g, bool bias, bool wide) =>
        Multiply(Emulated.Plain.Device, rung, tile, g, bias, wide);

    /// <param name="tile">Null: what the backend chooses.</param>
    /// <param name="wide">C is float32, whatever the matrices are.</param>
    private static void Multiply(CudaBackend device, Rung rung, MatMulTile? tile, in MatMulGeometry g, bool bias, bool wide)
    {
        var type = rung.Precision == Precision.BFloat16 ? DType.BFloat16 : DType.Float32;
        var random = new Random(g.M + 1000 * g.N + g.K);
        float[] Values(int length) => [.. Enumerable.Range(0, length).Select(_ => Round(type, random.NextSingle() * 2 - 1))];
        float[] a = Values(g.BatchStrideA == 0 ? g.M * g.K : g.Batch * g.BatchStrideA), b = Values(g.BatchStrideB == 0 ? g.K * g.N : g.Batch * g.BatchStrideB);
        float[]? added = bias ? [.. Enumerable.Range(0, g.N).Select(i => i - 0.5f)] : null;
        Storage Upload(float[] values, DType dtype)
        {
            var storage = device.Allocate(dtype, values.Length);
            device.Upload(values, storage);
            return storage;
        }
        Storage left = Upload(a, type), right = Upload(b, type), c = device.Allocate(wide ? DType.Float32 : type, g.Batch * g.M * g.N);
        var third = added is null ? null : Upload(added, DType.Float32);
        if (tile is null)
            device.MatMul(g, left, right, third, c);
        else
            device.MatMul(tile, g, left, right, third, c);
        float[] actual = new float[c.Length];
        device.Download(c, actual);
        // The rounding of the factors, then that of the sums (tensor cores truncate, 2^-23 for each of at most K / 4 steps), then that of C.
        double factors = rung.Precision == Precision.Tf32 ? Math.ScaleB(1, -10) : 0, sums = Math.ScaleB(g.K + 2, -23), result = c.DType == DType.BFloat16 ? Math.ScaleB(1, -8) : 0;
        for (int i = 0; i < actual.Length; i++)
        {
            int batch = i / (g.M * g.N), row = i / g.N % g.M, column = i % g.N;
            double exact = added?[column] ?? 0, size = Math.Abs(exact);
            for (int k = 0; k < g.K; k++)
            {
                double product = (double)a[batch * g.BatchStrideA + (g.TransposeA ? k * g.M + row : row * g.K + k)]
                    * b[batch * g.BatchStrideB + (g.TransposeB ? column * g.K + k : k * g.N + column)];
                exact += product;
                size += Math.Abs(product);
            }
            double bound = size * (factors + sums) * (1 + result) + Math.Abs(exact) * result;
            Assert.True(Math.Abs(actual[i] - exact) <= bound, $"{rung} {tile?.Rows}x{tile?.Columns} {g}: element {i} is {actual[i]}, not {exact}");
        }
        foreach (var storage in (Storage?[])[left, right, c, third])
        {
            if (storage is not null)
                device.Release(storage);
        }
    }

    private static float Round(DType type, float x) =>
        type == DType.BFloat16 ? BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(x) & 0xFFFF0000) : x;
}
