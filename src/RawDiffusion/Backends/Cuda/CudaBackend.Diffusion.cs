using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    /// <summary>Elements of a sample whose squared errors one block adds up.</summary>
    private const int SquaredErrorPiece = 4096;

    private static readonly KernelSlot s_forwardDiffusion = new("diffusion.cu", "diffusion_forward");
    private static readonly KernelSlot s_diffusionStep = new("diffusion.cu", "diffusion_step");
    private static readonly KernelSlot s_squaredError = new("diffusion.cu", "diffusion_squared_error");
    private static readonly KernelSlot s_weightedMse = new("diffusion.cu", "diffusion_weighted_mse");
    private static readonly KernelSlot s_weightedMseGrad = new("diffusion.cu", "diffusion_weighted_mse_grad");
    private static readonly KernelSlot s_timeEmbedding = new("diffusion.cu", "diffusion_time_embedding");

    /// <summary><see cref="DiffusionStepCoefficients"/> as the kernel has them: <c>StepCoefficients</c>, field for field.</summary>
    private struct StepCoefficients(in DiffusionStepCoefficients c)
    {
        public float InverseAlpha = (float)c.InverseAlpha;
        public float SigmaOverAlpha = (float)c.SigmaOverAlpha;
        public float ClipX0 = (float)c.ClipX0;
        public float CoefficientX = (float)c.CoefficientX;
        public float CoefficientX0 = (float)c.CoefficientX0;
        public float CoefficientEps = (float)c.CoefficientEps;
        public float NoiseScale = (float)c.NoiseScale;
    }

    public override void ForwardDiffusion(
        int samples, int size, PhiloxState state, Storage x0, Storage alpha, Storage sigma, Storage xt, Storage noise) =>
        LaunchElementsWith(
            _kernels[s_forwardDiffusion], Stream(state), FoursOf(xt), xt.Length, size, P(x0), P(alpha), P(sigma), P(xt), P(noise));

    public override unsafe void DiffusionStep(in DiffusionStepCoefficients c, PhiloxState state, Storage x, Storage eps, Storage y)
    {
        // Without noise nothing is drawn, and the stream is nobody's.
        var stream = c.NoiseScale == 0 ? default : Stream(state);
        LaunchElementsWith(
            _kernels[s_diffusionStep], new StepCoefficients(c), FoursOf(y), KernelArg.Struct(&stream), y.Length, P(x), P(eps), P(y));
    }

    public override void WeightedMse(int samples, int size, Storage x, Storage y, Storage weights, Storage losses)
    {
        if (samples == 0)
            return;
        int pieces = Math.Max(1, CeilDiv(size, SquaredErrorPiece));
        using var partial = Scratch((long)samples * pieces);
        _kernels[s_squaredError].Launch(
            samples * pieces, RowThreads(CeilDiv(Math.Min(size, SquaredErrorPiece), 4)), 0, size, pieces, SquaredErrorPiece, P(x), P(y), partial.Pointer);
        LaunchElements(
            _kernels[s_weightedMse], samples, samples, size, pieces, partial.Pointer, P(weights), P(losses));
    }

    public override void WeightedMseGrad(int samples, int size, Storage x, Storage y, Storage weights, Storage gLosses, Storage gx) =>
        LaunchElements(
            _kernels[s_weightedMseGrad], FoursOf(gx), gx.Length, size, P(x), P(y), P(weights), P(gLosses), P(gx));

    public override void TimeEmbedding(in TimeEmbeddingGeometry g, Storage t, Storage y)
    {
        // MaxPeriod^(-i / (half - FrequencyShift)) = 2^(i * ratio)
        double ratio = -Math.Log2(g.MaxPeriod) / (g.Dim / 2 - g.FrequencyShift);
        LaunchElements(_kernels[s_timeEmbedding], y.Length, y.Length, g.Dim, ratio, g.FlipSinToCos, P(t), P(y));
    }
}
