using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private static readonly KernelSlot s_softmax = new("softmax.cu", "softmax_forward");
    private static readonly KernelSlot s_logSoftmax = new("softmax.cu", "softmax_log_forward");
    private static readonly KernelSlot s_softmaxGrad = new("softmax.cu", "softmax_grad");
    private static readonly KernelSlot s_logSoftmaxGrad = new("softmax.cu", "softmax_log_grad");
    private static readonly KernelSlot s_crossEntropy = new("softmax.cu", "softmax_cross_entropy");
    private static readonly KernelSlot s_crossEntropyGrad = new("softmax.cu", "softmax_cross_entropy_grad");

    public override void Softmax(int rows, int columns, bool log, Storage x, Storage y) =>
        LaunchRows(log ? s_logSoftmax : s_softmax, x.DType, rows, columns, P(x), P(y));

    public override void SoftmaxGrad(int rows, int columns, bool log, Storage y, Storage gy, Storage gx) =>
        LaunchRows(log ? s_logSoftmaxGrad : s_softmaxGrad, y.DType, rows, columns, P(y), P(gy), P(gx));

    public override void CrossEntropy(int rows, int columns, Storage logits, Storage labels, Storage losses) =>
        LaunchRows(s_crossEntropy, logits.DType, rows, columns, P(logits), P(labels), P(losses));

    public override void CrossEntropyGrad(int rows, int columns, Storage logits, Storage labels, Storage gLosses, Storage gLogits) =>
        LaunchRows(s_crossEntropyGrad, logits.DType, rows, columns, P(logits), P(labels), P(gLosses), P(gLogits));

    /// <summary>Queues a kernel that begins with rows and columns and then takes these pointers.</summary>
    private void LaunchRows(KernelSlot slot, DType type, int rows, int columns, params ReadOnlySpan<DevicePointer> pointers)
    {
        if (rows == 0)
            return;
        var block = RowBlock(columns, type);
        Span<KernelArg> args = stackalloc KernelArg[6];
        (args[0], args[1]) = (rows, columns);
        for (int i = 0; i < pointers.Length; i++)
            args[2 + i] = pointers[i];
        _kernels[slot, type].Launch(CeilDiv(rows, block.Y), block, 0, args[..(2 + pointers.Length)]);
    }
}
