namespace RawDiffusion.Backends.Cuda.Ladders;

/// <summary>
/// The matrix product, from one thread per element to tensor cores with their tiles copied ahead. The first six rungs take plain layouts
/// only (nothing transposed); <c>kernels/matmul_ladder.cu</c> holds them side by side. Small and thin products have the tiles of
/// <c>kernels/matmul.cu</c>, which are not part of the ladder.
/// </summary>
/// <remarks>
/// The next rung, which has its place behind the last one here: wgmma, the tensor-core instruction of a whole warp group that reads its
/// factors from shared memory, with tiles brought by TMA and warps specialised in copying (sm_90a). mma.sync reaches about 60% of its rate.
/// The emulator has neither instruction, so that rung needs a GPU to be written against.
/// </remarks>
public static class MatMulLadder
{
    public static Rung Naive { get; } = new()
    {
        Name = "naive", File = "matmul_ladder.cu", Kernel = "matmul_naive_f32",
        What = "One thread for each element, neighbouring threads in neighbouring rows: every lane of a warp touches a sector of its own.",
    };

    public static Rung Coalesced { get; } = new()
    {
        Name = "coalesced", File = "matmul_ladder.cu", Kernel = "matmul_coalesced_f32",
        What = "Neighbouring threads take neighbouring columns, so a warp reads 128 bytes of B from 4 sectors instead of 32.",
    };

    public static Rung SharedTiles { get; } = new()
    {
        Name = "shared-tiles", File = "matmul_ladder.cu", Kernel = "matmul_shared_f32",
        What = "Tiles of 32 x 32 pass through shared memory, so an element is read from global memory once for the 32 rows or columns that need it.",
    };

    public static Rung RegisterTile1D { get; } = new()
    {
        Name = "register-tile-1d", File = "matmul_ladder.cu", Kernel = "matmul_register_1d_f32",
        What = "A thread sums 8 rows of a column in registers, so 9 reads of shared memory serve 8 multiply-adds instead of 16.",
    };

    public static Rung RegisterTile2D { get; } = new()
    {
        Name = "register-tile-2d", File = "matmul_ladder.cu", Kernel = "matmul_register_2d_f32",
        What = "A thread sums 8 x 8 elements, so 16 reads of shared memory serve 64 multiply-adds.",
    };

    public static Rung Vectorised { get; } = new()
    {
        Name = "vectorised", File = "matmul_ladder.cu", Kernel = "matmul_vectorised_f32",
        What = "Four neighbours move in one 16-byte instruction, from global and from shared memory: a quarter of the loads for a multiply-add.",
    };

    public static Rung WarpTiles { get; } = new()
    {
        Name = "warp-tiles", File = "matmul_simt.cu", Kernel = "matmul_warp_tile",
        What = "A warp makes a compact tile and a thread four pieces of it, so that lanes which are served together read neighbouring or equal words: no bank conflicts.",
    };

    public static Rung DoubleBuffer { get; } = new()
    {
        Name = "double-buffer", File = "matmul_simt.cu", Kernel = "matmul_double_buffer", MinimumCapability = 80,
        What = "cp.async brings the next tiles into a second buffer while the first is multiplied: no waiting for memory, no registers on the way, one barrier a tile.",
    };

    public static Rung MmaTf32 { get; } = new()
    {
        Name = "mma-tf32", File = "matmul_tf32.cu", Kernel = "matmul_mma", Precision = Precision.Tf32, MinimumCapability = 80,
        What = "Tensor cores: one mma.sync of a warp makes 1024 multiply-adds of tf32, from fragments that ldmatrix reads four matrices at a time.",
    };

    public static Rung MmaBFloat16 { get; } = new()
    {
        Name = "mma-bf16", File = "matmul_bf16.cu", Kernel = "matmul_mma", Precision = Precision.BFloat16, MinimumCapability = 80,
        What = "The same with bfloat16: 2048 multiply-adds an instruction from half the bytes.",
    };

    public static Rung MultiStageTf32 { get; } = new()
    {
        Name = "multistage-tf32", File = "matmul_tf32.cu", Kernel = "matmul_multistage", Precision = Precision.Tf32, MinimumCapability = 80,
        What = "Three stages are copied while a fourth is multiplied, and swizzled places put the rows of a fragment into different banks: the tensor cores wait for neither.",
    };

    public static Rung MultiStageBFloat16 { get; } = new()
    {
        Name = "multistage-bf16", File = "matmul_bf16.cu", Kernel = "matmul_multistage", Precision = Precision.BFloat16, MinimumCapability = 80,
        What = "Multi-stage copies and swizzled shared memory for bfloat16: what the backend takes for every product in it that is not thin.",
    };

    public static Ladder Ladder { get; } = new(
        "matmul", Naive, Coalesced, SharedTiles, RegisterTile1D, RegisterTile2D, Vectorised, WarpTiles, DoubleBuffer,
        MmaTf32, MmaBFloat16, MultiStageTf32, MultiStageBFloat16);
}
