namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void Softmax(int rows, int columns, bool log, Storage x, Storage y)
    {
        int grain = SoftmaxGrain(columns);
        if (VectorBits == 512)
            Elementwise(rows, grain, new SoftmaxBody<Simd512>(columns, log, F(x), F(y)));
        else if (VectorBits == 256)
            Elementwise(rows, grain, new SoftmaxBody<Simd256>(columns, log, F(x), F(y)));
        else
            Elementwise(rows, grain, new SoftmaxBody<Simd128>(columns, log, F(x), F(y)));
    }

    public override void SoftmaxGrad(int rows, int columns, bool log, Storage y, Storage gy, Storage gx)
    {
        int grain = SoftmaxGrain(columns);
        if (VectorBits == 512)
            Elementwise(rows, grain, new SoftmaxGradBody<Simd512>(columns, log, F(y), F(gy), F(gx)));
        else if (VectorBits == 256)
            Elementwise(rows, grain, new SoftmaxGradBody<Simd256>(columns, log, F(y), F(gy), F(gx)));
        else
            Elementwise(rows, grain, new SoftmaxGradBody<Simd128>(columns, log, F(y), F(gy), F(gx)));
    }

    public override void CrossEntropy(int rows, int columns, Storage logits, Storage labels, Storage losses)
    {
        int grain = SoftmaxGrain(columns);
        if (VectorBits == 512)
            Elementwise(rows, grain, new CrossEntropyBody<Simd512>(columns, F(logits), I(labels), F(losses)));
        else if (VectorBits == 256)
            Elementwise(rows, grain, new CrossEntropyBody<Simd256>(columns, F(logits), I(labels), F(losses)));
        else
            Elementwise(rows, grain, new CrossEntropyBody<Simd128>(columns, F(logits), I(labels), F(losses)));
    }

    public override void CrossEntropyGrad(int rows, int columns, Storage logits, Storage labels, Storage gLosses, Storage gLogits)
    {
        int grain = SoftmaxGrain(columns);
        if (VectorBits == 512)
            Elementwise(rows, grain, new CrossEntropyGradBody<Simd512>(columns, F(logits), I(labels), F(gLosses), F(gLogits)));
        else if (VectorBits == 256)
            Elementwise(rows, grain, new CrossEntropyGradBody<Simd256>(columns, F(logits), I(labels), F(gLosses), F(gLogits)));
        else
            Elementwise(rows, grain, new CrossEntropyGradBody<Simd128>(columns, F(logits), I(labels), F(gLosses), F(gLogits)));
    }

    /// <summary>Rows of one piece; a short row costs about as much as one of 32 elements.</summary>
    private static int SoftmaxGrain(int columns) => Math.Max(1, ElementwiseGrain / Math.Max(32, columns) / 2);
}
