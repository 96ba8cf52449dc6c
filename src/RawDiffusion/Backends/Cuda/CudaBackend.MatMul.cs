using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    /// <summary>A C of so many rows or columns has tiles of its own.</summary>
    private const int ThinMatrix = 16;

    private const int StageBytesPerLine = 64;

    private static readonly KernelSlot s_addParts = new("matmul.cu", "matmul_add_parts");

    // Blocks on a multiprocessor follow from registers and shared memory. Rates: a multiprocessor makes 128 multiply-adds a cycle in float32;
    // the 64 x 64 of matmul.cu reads as much shared memory for each as leaves half of them, and waits for memory in between.
    private static readonly MatMulTile
        s_few = new("matmul.cu", "matmul_*_64x64", 64, 64, 256, resident: 2, rate: 45),
        s_fewColumns = new("matmul.cu", "matmul_*_64x16", 64, 16, 64, resident: 8, rate: 80),
        s_fewRows = new("matmul.cu", "matmul_*_16x64", 16, 64, 64, resident: 8, rate: 80),
        s_warpTile = new("matmul_simt.cu", "matmul_warp_tile_*", 128, 128, 256, resident: 2, rate: 90),
        s_doubleBuffer = new("matmul_simt.cu", "matmul_double_buffer_*", 128, 128, 256, resident: 2, rate: 105);

    private static readonly MatMulTile[]
        s_simtTiles = [s_warpTile, s_few],
        s_asyncTiles = [s_doubleBuffer, s_few],
        s_tf32Tiles = MultiStage("matmul_tf32.cu", "matmul_multistage_tf32", 0.5),
        s_bfloat16Tiles = MultiStage("matmul_bf16.cu", "matmul_multistage", 1);

    private static readonly Dictionary<Rung, MatMulTile[]> s_matMulRungs = new(ReferenceEqualityComparer.Instance)
    {
        [MatMulLadder.Naive] = [Study("naive", 32, 8, 256)],
        [MatMulLadder.Coalesced] = [Study("coalesced", 8, 32, 256)],
        [MatMulLadder.SharedTiles] = [Study("shared", 32, 32, 1024)],
        [MatMulLadder.RegisterTile1D] = [Study("register_1d", 64, 64, 512)],
        [MatMulLadder.RegisterTile2D] = [Study("register_2d", 128, 128, 256)],
        [MatMulLadder.Vectorised] = [Study("vectorised", 128, 128, 256)],
        [MatMulLadder.WarpTiles] = [s_warpTile],
        [MatMulLadder.DoubleBuffer] = [s_doubleBuffer],
        [MatMulLadder.MmaTf32] = [new("matmul_tf32.cu", "matmul_mma_tf32_nn", 128, 128, 128, 2 * (128 + 128) * StageBytesPerLine, 2, 100)],
        [MatMulLadder.MmaBFloat16] = [new("matmul_bf16.cu", "matmul_mma_nn", 128, 128, 128, 2 * (128 + 128) * StageBytesPerLine, 2, 200)],
        [MatMulLadder.MultiStageTf32] = s_tf32Tiles,
        [MatMulLadder.MultiStageBFloat16] = s_bfloat16Tiles,
    };

    /// <remarks>
    /// float32 is multiplied in float32, or in tf32 where <see cref="Backend.AllowTf32"/> says so; bfloat16 on tensor cores, or converted on
    /// the way where there are none. Thin products, bound by memory, never use tensor cores.
    /// </remarks>
    public override void MatMul(in MatMulGeometry g, Storage a, Storage b, Storage? bias, Storage c)
    {
        if (c.Length > 0)
            MatMul(Chosen(MatMulLadder.Ladder) is { } rung ? ForcedTile(rung, g, a.DType) : BestTile(g, a.DType), g, a, b, bias, c);
    }

    /// <summary>The sizes of tiles that a rung has kernels for, from the largest on.</summary>
    internal static IReadOnlyList<MatMulTile> TilesOf(Rung rung) => s_matMulRungs[rung];

    /// <summary>The product by the kernels of one size of tiles.</summary>
    internal void MatMul(MatMulTile tile, in MatMulGeometry g, Storage a, Storage b, Storage? bias, Storage c)
    {
        var kernel = _kernels[tile[g.TransposeA, g.TransposeB], a.DType];
        var (parts, depth) = tile.Split(g);
        int blocks = checked((int)tile.Blocks(g)), toFloat = c.DType == DType.Float32 ? 1 : 0;
        if (!tile.Splits)
            kernel.LaunchWith(g, blocks, tile.Threads, tile.SharedBytes, P(a), P(b), PointerOrNull(bias), P(c));
        else if (parts == 1)
            kernel.LaunchWith(g, blocks, tile.Threads, tile.SharedBytes, P(a), P(b), PointerOrNull(bias), P(c), depth, toFloat);
        else
        {
            using var sums = Scratch((long)parts * c.Length);
            kernel.LaunchWith(g, new Dim3(blocks, parts), tile.Threads, tile.SharedBytes, P(a), P(b), DevicePointer.Null, sums.Pointer, depth, 1);
            LaunchElements(_kernels[s_addParts, c.DType], c.Length, c.Length, g.N, parts, sums.Pointer, PointerOrNull(bias), P(c));
        }
    }

    /// <summary>The tile that the backend takes where no rung was asked for.</summary>
    internal MatMulTile BestTile(in MatMulGeometry g, DType type)
    {
        if (g.N <= ThinMatrix)
            return s_fewColumns;
        if (g.M <= ThinMatrix)
            return s_fewRows;
        if (Capability < 80)
            return MatMulTile.For(g, s_simtTiles);
        return MatMulTile.For(g, type == DType.BFloat16 ? s_bfloat16Tiles : AllowTf32 ? s_tf32Tiles : s_asyncTiles);
    }

    /// <exception cref="NotSupportedException">The rung takes another type, or no transposes.</exception>
    private static MatMulTile ForcedTile(Rung rung, in MatMulGeometry g, DType type)
    {
        if ((rung.Precision == Precision.BFloat16) != (type == DType.BFloat16))
            throw new NotSupportedException($"{rung} multiplies in {rung.Precision.Name()}; the matrices are {type.Name()}.");
        var tile = MatMulTile.For(g, s_matMulRungs[rung]);
        return tile.TakesTransposes || !(g.TransposeA || g.TransposeB)
            ? tile : throw new NotSupportedException($"{rung} multiplies matrices as they lie; one of these is transposed.");
    }

    private static MatMulTile Study(string name, int rows, int columns, int threads) =>
        new("matmul_ladder.cu", $"matmul_{name}", rows, columns, threads, splits: false);

    /// <summary>
    /// Rates are what 27 bytes a cycle from L2 for each multiprocessor leave of some 1200 multiply-adds a cycle by mma.sync: a tile of
    /// bfloat16 makes 43, 32 and 16 of a byte.
    /// </summary>
    /// <param name="rate">Of the type, as a multiple of bfloat16's.</param>
    private static MatMulTile[] MultiStage(string file, string name, double rate) =>
    [
        new(file, $"{name}_*_128x256", 128, 256, 256, 4 * (128 + 256) * StageBytesPerLine, 1, 900 * rate),
        new(file, $"{name}_*_128x128", 128, 128, 128, 4 * (128 + 128) * StageBytesPerLine, 2, 800 * rate),
        new(file, $"{name}_*_64x64", 64, 64, 128, 4 * (64 + 64) * StageBytesPerLine, 4, 430 * rate),
    ];
}
