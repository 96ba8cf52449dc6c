using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private static readonly KernelSlot s_uniform = new("random.cu", "random_uniform");
    private static readonly KernelSlot s_normal = new("random.cu", "random_normal");
    private static readonly KernelSlot s_normalInverse = new("random.cu", "random_normal_inverse");
    private static readonly KernelSlot s_integers = new("random.cu", "random_integers");
    private static readonly KernelSlot s_dropout = new("random.cu", "random_dropout");

    public override void Uniform(PhiloxState state, double low, double high, Storage y) =>
        LaunchElementsWith(_kernels[s_uniform], Stream(state), FoursOf(y), y.Length, (float)low, (float)(high - low), P(y));

    public override void Normal(NormalMethod method, PhiloxState state, Storage y) =>
        LaunchElementsWith(_kernels[method == NormalMethod.BoxMuller ? s_normal : s_normalInverse], Stream(state), FoursOf(y), y.Length, P(y));

    public override void Integers(PhiloxState state, int low, int high, Storage y) =>
        LaunchElementsWith(_kernels[s_integers, DType.Int32], Stream(state), FoursOf(y), y.Length, low, (uint)((long)high - low), P(y));

    public override void Dropout(PhiloxState state, double p, Storage x, Storage y) =>
        LaunchElementsWith(
            _kernels[s_dropout, y.DType], Stream(state), PacksOf(y), y.Length, (uint)Math.Ceiling(p * (1 << 24)), (float)(1 / (1 - p)), P(x), P(y));

    /// <summary>A stream as kernels take it: <c>PhiloxState</c> of <c>kernels/philox.cuh</c>, field for field.</summary>
    private readonly struct PhiloxStream(PhiloxState state, DevicePointer advance)
    {
        public readonly ulong Seed = state.Seed;
        public readonly ulong Stream = state.Stream;
        public readonly ulong Offset = state.Offset;
        public readonly ulong Advance = advance.Address;
    }

    private PhiloxStream Stream(PhiloxState state) => new(state, _recording?.Advance(state) ?? DevicePointer.Null);

    /// <summary>Threads where each makes four neighbouring elements.</summary>
    private static int FoursOf(Storage y) => CeilDiv(y.Length, 4);
}
