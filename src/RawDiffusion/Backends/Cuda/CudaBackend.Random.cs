using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    public override void Uniform(PhiloxState state, double low, double high, Storage y) =>
        LaunchElementsWith(RandomKernel("random_uniform_f32"), Stream(state), FoursOf(y), y.Length, (float)low, (float)(high - low), P(y));

    public override void Normal(NormalMethod method, PhiloxState state, Storage y) =>
        LaunchElementsWith(
            RandomKernel(method == NormalMethod.BoxMuller ? "random_normal_f32" : "random_normal_inverse_f32"), Stream(state), FoursOf(y), y.Length, P(y));

    public override void Integers(PhiloxState state, int low, int high, Storage y) =>
        LaunchElementsWith(RandomKernel("random_integers_i32"), Stream(state), FoursOf(y), y.Length, low, (uint)((long)high - low), P(y));

    public override void Dropout(PhiloxState state, double p, Storage x, Storage y) =>
        LaunchElementsWith(
            RandomKernel("random_dropout_f32"), Stream(state), FoursOf(y), y.Length, (uint)Math.Ceiling(p * (1 << 24)), (float)(1 / (1 - p)), P(x), P(y));

    /// <summary>A stream as kernels take it: <c>PhiloxState</c> of <c>kernels/philox.cuh</c>, field for field.</summary>
    private readonly struct PhiloxStream(PhiloxState state, DevicePointer advance)
    {
        public readonly ulong Seed = state.Seed;
        public readonly ulong Stream = state.Stream;
        public readonly ulong Offset = state.Offset;
        public readonly ulong Advance = advance.Address;
    }

    private PhiloxStream Stream(PhiloxState state) => new(state, _recording?.Advance(state) ?? DevicePointer.Null);

    private CudaKernel RandomKernel(string name) => _kernels.Kernel("random.cu", name);

    /// <summary>Threads where each makes four neighbouring elements.</summary>
    private static int FoursOf(Storage y) => CeilDiv(y.Length, 4);
}
