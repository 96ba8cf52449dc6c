using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private static readonly KernelSlot s_adamW = new("optimizer.cu", "optimizer_adamw");
    private static readonly KernelSlot s_sgd = new("optimizer.cu", "optimizer_sgd");
    private static readonly KernelSlot s_ema = new("optimizer.cu", "optimizer_ema");
    private static readonly KernelSlot s_accumulate = new("optimizer.cu", "optimizer_accumulate");

    /// <summary>What an <see cref="AdamWStep"/> comes to in the kernel: <c>AdamWScalars</c>, field for field.</summary>
    private struct AdamWScalars(in AdamWStep s, double maxNorm)
    {
        public float Keep = (float)(s.DecoupledWeightDecay ? 1 - s.LearningRate * s.WeightDecay : 1);
        public float L2 = (float)(s.DecoupledWeightDecay ? 0 : s.WeightDecay);
        public float Rate1 = (float)(1 - s.Beta1);
        public float Rate2 = (float)(1 - s.Beta2);
        public float StepSize = (float)(s.LearningRate / s.BiasCorrection1);
        public float RootScale = (float)(1 / Math.Sqrt(s.BiasCorrection2));
        public float Epsilon = (float)s.Epsilon;
        public float MaxNorm = (float)maxNorm;
    }

    /// <summary><c>SgdScalars</c> of the kernel, field for field.</summary>
    private struct SgdScalars(in SgdStep s, double maxNorm)
    {
        public float LearningRate = (float)s.LearningRate;
        public float Momentum = (float)s.Momentum;
        public float WeightDecay = (float)s.WeightDecay;
        public float MaxNorm = (float)maxNorm;
        public int Nesterov = s.Nesterov ? 1 : 0;
        public int FirstStep = s.FirstStep ? 1 : 0;
    }

    public override void AdamW(
        in AdamWStep s, Storage parameter, Storage gradient, Storage m, Storage v, Storage? gradientNorm, double maxNorm,
        Storage? average = null, double decay = 0) =>
        LaunchElementsWith(
            _kernels[s_adamW], new AdamWScalars(s, maxNorm), FoursOf(parameter), _recording?.AdamW(maxNorm) ?? DevicePointer.Null, parameter.Length,
            P(parameter), P(gradient), P(m), P(v), PointerOrNull(gradientNorm),
            (float)(1 - decay), average is null ? DevicePointer.Null : LiveDecay, PointerOrNull(average));

    public override void Sgd(in SgdStep s, Storage parameter, Storage gradient, Storage buffer, Storage? gradientNorm, double maxNorm) =>
        LaunchElementsWith(
            _kernels[s_sgd], new SgdScalars(s, maxNorm), FoursOf(parameter),
            _recording?.Sgd(maxNorm) ?? DevicePointer.Null, parameter.Length, P(parameter), P(gradient), P(buffer), PointerOrNull(gradientNorm));

    public override void Ema(double decay, Storage parameter, Storage average) =>
        LaunchElements(
            _kernels[s_ema], FoursOf(parameter), parameter.Length, (float)(1 - decay), LiveDecay, P(parameter), P(average));

    public override void Accumulate(Storage x, Storage y)
    {
        // Gradients of what flows through a network meet in its own type; those of parameters are float32.
        if (y.DType == DType.BFloat16)
            LaunchElements(_kernels[BinarySlots<Ops.Add>.Equal, y.DType], PacksOf(y), y.Length, P(y), P(x), P(y), 0f);
        else
            LaunchElements(_kernels[s_accumulate], FoursOf(y), y.Length, P(x), P(y));
    }

    /// <summary>Where a recording keeps 1 - the decay of the average.</summary>
    private DevicePointer LiveDecay => _recording?.Ema() ?? DevicePointer.Null;
}
