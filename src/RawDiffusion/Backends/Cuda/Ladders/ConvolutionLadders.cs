namespace RawDiffusion.Backends.Cuda.Ladders;

/// <summary>The three passes of a convolution, each from a thread per element to tensor cores.</summary>
public static class ConvolutionLadders
{
    internal const string Naive = "naive", ImplicitGemm = "implicit-gemm", Tf32 = "tensor-cores-tf32", BFloat16 = "tensor-cores-bf16";

    private const int TensorCores = 80;

    /// <summary>y from x and w.</summary>
    public static Ladder Forward { get; } = Make(
        "conv2d", "conv2d_forward",
        "Pixels of y by output channels are a product of matrices read where they lie: a block sums a tile of it in registers from slices in shared memory, fetched by 16 bytes along the channels, so that each element loaded serves 64 or 128 products instead of one.");

    /// <summary>gx from gy and w.</summary>
    public static Ladder GradInput { get; } = Make(
        "conv2dGradInput", "conv2d_grad_input",
        "Pixels of x by input channels are a product of matrices read where they lie, one for each phase of the stride, so that no tap is visited in vain: tiles in registers, slices in shared memory, each element loaded serves 64 or 128 products instead of one.");

    /// <summary>gw from x and gy.</summary>
    public static Ladder GradWeight { get; } = Make(
        "conv2dGradWeight", "conv2d_grad_weight",
        "Taps and input channels by output channels are a product of matrices, summed over pixels that are shared out among blocks and added up in a second pass in a fixed order: tiles in registers instead of one thread's walk over all pixels, and enough blocks for the whole GPU.");

    private static Ladder Make(string operation, string kernel, string implicitGemm) => new(
        operation,
        new Rung
        {
            Name = Naive,
            File = "convolution.cu",
            Kernel = kernel + "_naive_",
            What = "A thread for each element of the result, which loads both factors of every product from global memory.",
        },
        new Rung { Name = ImplicitGemm, File = "convolution.cu", Kernel = kernel + "_gemm_", What = implicitGemm },
        new Rung
        {
            Name = Tf32,
            File = "convolution_mma.cu",
            Kernel = kernel + "_mma_",
            Precision = Precision.Tf32,
            MinimumCapability = TensorCores,
            What = "Tensor cores make 1024 multiply-adds with one instruction of a warp, fed by three slices of asynchronous copies under way; padding is copies of nothing, and permuted chunks keep shared memory free of bank conflicts.",
        },
        new Rung
        {
            Name = BFloat16,
            File = "convolution_mma.cu",
            Kernel = kernel + "_mma_",
            Precision = Precision.BFloat16,
            MinimumCapability = TensorCores,
            What = "Elements of half the size: an instruction makes 2048 multiply-adds, and as many bytes feed twice as many of them; ldmatrix transposes what lies across.",
        });
}
