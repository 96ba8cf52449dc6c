using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    public override void Softmax(int rows, int columns, bool log, Storage x, Storage y)
    {
        if (rows > 0)
            SoftmaxKernel(log ? "softmax_log_forward_f32" : "softmax_forward_f32").Launch(rows, RowThreads(columns), 0, columns, P(x), P(y));
    }

    public override void SoftmaxGrad(int rows, int columns, bool log, Storage y, Storage gy, Storage gx)
    {
        if (rows > 0)
            SoftmaxKernel(log ? "softmax_log_grad_f32" : "softmax_grad_f32").Launch(rows, RowThreads(columns), 0, columns, P(y), P(gy), P(gx));
    }

    public override void CrossEntropy(int rows, int columns, Storage logits, Storage labels, Storage losses)
    {
        if (rows > 0)
            SoftmaxKernel("softmax_cross_entropy_f32").Launch(rows, RowThreads(columns), 0, columns, P(logits), P(labels), P(losses));
    }

    public override void CrossEntropyGrad(int rows, int columns, Storage logits, Storage labels, Storage gLosses, Storage gLogits)
    {
        if (rows > 0)
        {
            SoftmaxKernel("softmax_cross_entropy_grad_f32").Launch(
                rows, RowThreads(columns), 0, columns, P(logits), P(labels), P(gLosses), P(gLogits));
        }
    }

    /// <summary>Each launch has one block per row.</summary>
    private CudaKernel SoftmaxKernel(string name) => _kernels.Kernel("softmax.cu", name);
}
