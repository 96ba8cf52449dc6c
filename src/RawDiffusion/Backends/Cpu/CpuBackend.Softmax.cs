namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void Softmax(int rows, int columns, bool log, Storage x, Storage y) => throw new NotImplementedException();

    public override void SoftmaxGrad(int rows, int columns, bool log, Storage y, Storage gy, Storage gx) => throw new NotImplementedException();

    public override void CrossEntropy(int rows, int columns, Storage logits, Storage labels, Storage losses) => throw new NotImplementedException();

    public override void CrossEntropyGrad(int rows, int columns, Storage logits, Storage labels, Storage gLosses, Storage gLogits) => throw new NotImplementedException();
}
