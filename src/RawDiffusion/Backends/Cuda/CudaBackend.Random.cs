using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    public override void Uniform(PhiloxState state, double low, double high, Storage y) =>
        LaunchElementsWith(RandomKernel("random_uniform_f32"), state, FoursOf(y), y.Length, (float)low, (float)(high - low), P(y));

    public override void Normal(NormalMethod method, PhiloxState state, Storage y) =>
        LaunchElementsWith(
            RandomKernel(method == NormalMethod.BoxMuller ? "random_normal_f32" : "random_normal_inverse_f32"), state, FoursOf(y), y.Length, P(y));

    public override void Integers(PhiloxState state, int low, int high, Storage y) =>
        LaunchElementsWith(RandomKernel("random_integers_i32"), state, FoursOf(y), y.Length, low, (uint)((long)high - low), P(y));

    public override void Dropout(PhiloxState state, double p, Storage x, Storage y) =>
        LaunchElementsWith(
            RandomKernel("random_dropout_f32"), state, FoursOf(y), y.Length, (uint)Math.Ceiling(p * (1 << 24)), (float)(1 / (1 - p)), P(x), P(y));

    private CudaKernel RandomKernel(string name) => _kernels.Kernel("random.cu", name);

    /// <summary>Threads where each makes four neighbouring elements.</summary>
    private static int FoursOf(Storage y) => CeilDiv(y.Length, 4);
}
