namespace RawDiffusion.Backends.Cpu;

public sealed unsafe partial class CpuBackend
{
    public override void ForwardDiffusion(
        int samples, int size, PhiloxState state, Storage x0, Storage alpha, Storage sigma, Storage xt, Storage noise) => throw new NotImplementedException();

    public override void DiffusionStep(in DiffusionStepCoefficients c, PhiloxState state, Storage x, Storage eps, Storage y) => throw new NotImplementedException();

    public override void WeightedMse(int samples, int size, Storage x, Storage y, Storage weights, Storage losses) => throw new NotImplementedException();

    public override void WeightedMseGrad(int samples, int size, Storage x, Storage y, Storage weights, Storage gLosses, Storage gx) => throw new NotImplementedException();

    public override void TimeEmbedding(in TimeEmbeddingGeometry g, Storage t, Storage y) => throw new NotImplementedException();
}
