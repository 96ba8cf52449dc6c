using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

/// <summary>
/// The tile of a convolution's product that one block makes, see <c>kernels/convolution.cu</c> and <c>convolution_mma.cu</c>, with the
/// kernels that make it.
/// </summary>
internal sealed class ConvolutionTile
{
    /// <summary>Tiles that keep a large GPU busy: one for each of the 132 multiprocessors of an H100.</summary>
    private const long EnoughBlocks = 132;

    /// <summary>Bytes of an operand's slice for each of its lines, and slices in shared memory.</summary>
    private const int SliceBytes = 64, Stages = 4;

    private static readonly ConvolutionTile s_gemm128x64 = new("convolution.cu", "gemm", 128, 64, 128, 3);
    private static readonly ConvolutionTile s_gemm128x32 = new("convolution.cu", "gemm", 128, 32, 128, 4);
    private static readonly ConvolutionTile s_gemm64x16 = new("convolution.cu", "gemm", 64, 16, 64, 4);
    private static readonly ConvolutionTile s_mma128x128 = new("convolution_mma.cu", "mma", 128, 128, 128, 2);
    private static readonly ConvolutionTile s_mma128x64 = new("convolution_mma.cu", "mma", 128, 64, 128, 3);
    private static readonly ConvolutionTile s_mma64x32 = new("convolution_mma.cu", "mma", 64, 32, 64, 4);
    private static readonly ConvolutionTile s_guarded = new("convolution_mma.cu", "mma_guarded", 64, 32, 64, 4);

    private readonly string _name;
    private readonly int _rows;
    private readonly int _columns;
    private readonly bool _isMma;

    /// <param name="wanted">Blocks for each multiprocessor, see <see cref="WantedBlocks"/>.</param>
    private ConvolutionTile(string file, string name, int rows, int columns, int threads, int wanted)
    {
        (_name, _rows, _columns, Threads, WantedBlocks) = (name, rows, columns, threads, wanted * EnoughBlocks);
        _isMma = file == "convolution_mma.cu";
        Forward = new KernelSlot(file, $"conv2d_forward_{name}_{rows}x{columns}");
        GradInput = new KernelSlot(file, $"conv2d_grad_input_{name}_{rows}x{columns}");
        GradWeight = new KernelSlot(file, $"conv2d_grad_weight_{name}_{rows}x{columns}");
    }

    /// <summary>Every tile there is.</summary>
    public static IReadOnlyList<ConvolutionTile> All { get; } = [s_gemm128x64, s_gemm128x32, s_gemm64x16, s_mma128x128, s_mma128x64, s_mma64x32, s_guarded];

    public KernelSlot Forward { get; }

    public KernelSlot GradInput { get; }

    public KernelSlot GradWeight { get; }

    public int Threads { get; }

    /// <summary>
    /// Blocks that the sum of a gradient of a weight is shared out to where its tiles are fewer: on a large GPU as many for each
    /// multiprocessor as hide each other's waiting. Of the smallest, of two warps, twice as many would run at a time, but their parts would
    /// take longer to write and to add up than is won.
    /// </summary>
    public long WantedBlocks { get; }

    /// <summary>The tile of registers for products of this size.</summary>
    /// <param name="type">Of what is multiplied; bfloat16 is converted on the way, which only GPUs without its instructions need.</param>
    public static ConvolutionTile Gemm(DType type, int columns) =>
        type == DType.BFloat16 ? s_gemm128x32 : columns <= 16 ? s_gemm64x16 : columns <= 32 ? s_gemm128x32 : s_gemm128x64;

    /// <summary>The tile of tensor cores: the largest that the columns fill and that leaves every multiprocessor a block.</summary>
    /// <param name="whole">Whether all operands can be read by 16 bytes.</param>
    public static ConvolutionTile Mma(bool whole, long products, int rows, int columns)
    {
        if (!whole)
            return s_guarded;
        if (columns > 64 && s_mma128x128.Blocks(products, rows, columns) >= EnoughBlocks)
            return s_mma128x128;
        return columns > 32 && s_mma128x64.Blocks(products, rows, columns) >= EnoughBlocks ? s_mma128x64 : s_mma64x32;
    }

    /// <summary>Blocks for products of this size.</summary>
    public long Blocks(long products, int rows, int columns) => products * (((long)rows + _rows - 1) / _rows) * (((long)columns + _columns - 1) / _columns);

    /// <summary>Bytes of dynamic shared memory.</summary>
    /// <param name="throughShared">Whether the sums pass through it too.</param>
    public int SharedBytes(bool throughShared) =>
        !_isMma ? 0 : Math.Max(Stages * SliceBytes * (_rows + _columns), throughShared ? sizeof(float) * _rows * (_columns + 8) : 0);

    /// <summary>As in the names of the kernels.</summary>
    public override string ToString() => $"{_name}_{_rows}x{_columns}";
}
