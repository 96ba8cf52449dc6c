namespace RawDiffusion.Backends.Cuda.Ladders;

/// <summary>Attention and its gradient: from a stored matrix of scores to tiles of it in the registers of tensor cores.</summary>
public static class AttentionLadder
{
    public static Rung Naive { get; } = new()
    {
        Name = "naive",
        File = "attention_naive.cu",
        Kernel = "attention_naive_",
        What = "Writes the matrix of scores to memory and reads it again for the softmax and for each column of the values.",
    };

    public static Rung Flash { get; } = new()
    {
        Name = "flash",
        File = "attention.cu",
        Kernel = "attention_forward_",
        What = "Makes scores by tiles in shared memory and uses them at once, with a softmax that corrects itself as larger scores come: global memory sees the inputs and the result only.",
    };

    public static Rung TensorTf32 { get; } = new()
    {
        Name = "tensor-tf32",
        File = "attention_mma.cu",
        Kernel = "attention_mma_forward_",
        What = "Tensor cores multiply tiles that cp.async brings while the one before is computed; queries stay in registers, and probabilities go from accumulators to the next product without a move.",
        Precision = Precision.Tf32,
        MinimumCapability = 80,
    };

    public static Rung TensorBFloat16 { get; } = TensorTf32 with
    {
        Name = "tensor-bf16",
        What = "The same in bfloat16: half the bytes, twice the depth of an instruction, and ldmatrix transposes the values on their way to registers.",
        Precision = Precision.BFloat16,
    };

    public static Rung TwoStripsTf32 { get; } = TensorTf32 with
    {
        Name = "two-strips-tf32",
        Kernel = "attention_mma_forward_long_",
        What = "Each warp makes 32 rows instead of 16: a fragment of keys or values serves two products, so shared memory is read half as often for each.",
    };

    public static Rung TwoStripsBFloat16 { get; } = TwoStripsTf32 with { Name = "two-strips-bf16", Precision = Precision.BFloat16 };

    public static Rung NaiveGrad { get; } = Naive with
    {
        Name = "naive",
        What = "Writes probabilities and gradients of scores to memory, and reads them for each column of each gradient.",
    };

    public static Rung FlashGrad { get; } = Flash with
    {
        Name = "flash",
        Kernel = "attention_grad_",
        What = "Makes probabilities again from the logarithm of each row's sum, by tiles in shared memory, once for rows of queries and once for rows of keys.",
    };

    public static Rung TensorTf32Grad { get; } = TensorTf32 with
    {
        Name = "tensor-tf32",
        File = "attention_mma_grad.cu",
        Kernel = "attention_mma_grad_",
        What = "Tensor cores make the products; keys' rows use transposed scores, so that these too are accumulators that become the next product's operand where they are.",
    };

    public static Rung TensorBFloat16Grad { get; } = TensorTf32Grad with
    {
        Name = "tensor-bf16",
        What = "The same in bfloat16: half the bytes and twice the depth of an instruction.",
        Precision = Precision.BFloat16,
    };

    public static Ladder Forward { get; } = new("attention", Naive, Flash, TensorTf32, TwoStripsTf32, TensorBFloat16, TwoStripsBFloat16);

    public static Ladder Backward { get; } = new("attentionGrad", NaiveGrad, FlashGrad, TensorTf32Grad, TensorBFloat16Grad);
}
