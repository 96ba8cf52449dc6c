namespace RawDiffusion.Backends;

/// <summary>
/// C[b] = op(A[b]) op(B[b]), C is M x N row-major. A is M x K (K x M when transposed), B is K x N (N x K when transposed).
/// A batch stride is in elements; 0 repeats the same matrix for every batch.
/// </summary>
public readonly record struct MatMulGeometry(
    int Batch, int M, int N, int K, bool TransposeA, bool TransposeB, int BatchStrideA, int BatchStrideB);

/// <summary>
/// Images x[Batch, Height, Width, InChannels] (NHWC), weights w[OutChannels, KernelHeight, KernelWidth, InChannels / Groups]
/// (a PyTorch weight in channels-last memory order), output y[Batch, OutHeight, OutWidth, OutChannels].
/// </summary>
public readonly record struct Conv2dGeometry(
    int Batch, int Height, int Width, int InChannels, int OutChannels, int KernelHeight, int KernelWidth,
    int StrideHeight, int StrideWidth, int PadTop, int PadBottom, int PadLeft, int PadRight, int Groups)
{
    public int OutHeight => (Height + PadTop + PadBottom - KernelHeight) / StrideHeight + 1;

    public int OutWidth => (Width + PadLeft + PadRight - KernelWidth) / StrideWidth + 1;

    /// <summary>Multiply-adds of one pass (forward, or either gradient), times two.</summary>
    public long Flops => 2L * Batch * OutHeight * OutWidth * OutChannels * KernelHeight * KernelWidth * (InChannels / Groups);
}

/// <summary>A reduction of x[Outer, Reduce, Inner] over its middle axis to y[Outer, Inner].</summary>
public readonly record struct ReduceGeometry(int Outer, int Reduce, int Inner);

/// <summary>y[Outer, n, Inner] taken from x[Outer, Rows, Inner] by indices along the middle axis.</summary>
public readonly record struct GatherGeometry(int Outer, int Rows, int Inner, int Count);

/// <summary>Images x[Batch, Height, Width, Channels] resampled by whole factors.</summary>
public readonly record struct ResampleGeometry(int Batch, int Height, int Width, int Channels, int FactorHeight, int FactorWidth);

/// <summary>x[Batch, Spatial, Channels], statistics over Spatial and Channels / Groups, one per (Batch, Group).</summary>
public readonly record struct GroupNormGeometry(int Batch, int Spatial, int Channels, int Groups, double Epsilon);

/// <summary>x[Rows, Columns], statistics over Columns.</summary>
public readonly record struct LayerNormGeometry(int Rows, int Columns, double Epsilon);

/// <summary>
/// q[Batch, QueryLength, Heads, HeadDim], k and v[Batch, KeyLength, Heads, HeadDim], output like q:
/// softmax(Scale q k^T) v for every batch and head. Log-sum-exp per row: [Batch, Heads, QueryLength].
/// </summary>
public readonly record struct AttentionGeometry(int Batch, int Heads, int QueryLength, int KeyLength, int HeadDim, double Scale);

/// <summary>
/// One fused step of a sampler, elementwise on x (the state) and eps (the predicted noise):
/// x0 = x * InverseAlpha - eps * SigmaOverAlpha, clamped to [-ClipX0, ClipX0] (infinity: no clamp);
/// result = CoefficientX * x + CoefficientX0 * x0 + CoefficientEps * eps + NoiseScale * z, z standard normal.
/// The ancestral DDPM step and the DDIM step are two settings of it. No noise is drawn when NoiseScale is 0.
/// </summary>
public readonly record struct DiffusionStepCoefficients(
    double InverseAlpha, double SigmaOverAlpha, double ClipX0,
    double CoefficientX, double CoefficientX0, double CoefficientEps, double NoiseScale);

/// <summary>
/// Sinusoidal embedding of times t[n] into [n, Dim], half = Dim / 2, frequency_i = MaxPeriod^(-i / (half - FrequencyShift)):
/// [sin(t f), cos(t f)], or [cos, sin] when FlipSinToCos. An odd Dim is padded with a zero. Source: diffusers, Timesteps.
/// </summary>
public readonly record struct TimeEmbeddingGeometry(int Count, int Dim, double MaxPeriod, bool FlipSinToCos, double FrequencyShift);

/// <summary>
/// Hyper-parameters of one AdamW step (Loshchilov and Hutter 2019, Algorithm 2). BiasCorrection1 = 1 - Beta1^t and likewise 2.
/// DecoupledWeightDecay false adds WeightDecay * parameter to the gradient (plain Adam with L2).
/// </summary>
public readonly record struct AdamWStep(
    double LearningRate, double Beta1, double Beta2, double Epsilon, double WeightDecay, bool DecoupledWeightDecay,
    double BiasCorrection1, double BiasCorrection2);

/// <summary>
/// SGD with momentum: g += WeightDecay p; buffer = Momentum buffer + g (buffer = g on the first step);
/// p -= LearningRate (Nesterov ? g + Momentum buffer : buffer).
/// </summary>
public readonly record struct SgdStep(double LearningRate, double Momentum, double WeightDecay, bool Nesterov, bool FirstStep);

/// <summary>
/// Where a Philox stream stands: key = Seed, counter = (Offset + block, Stream). One block gives four 32-bit integers.
/// </summary>
public readonly record struct PhiloxState(ulong Seed, ulong Stream, ulong Offset)
{
    /// <summary>Number of blocks that <paramref name="elements"/> random numbers consume.</summary>
    public static ulong Blocks(int elements) => ((ulong)elements + 3) / 4;
}

/// <summary>The two ways to make a standard normal from uniform bits; the formulas are stated at <see cref="Backend.Normal"/>.</summary>
public enum NormalMethod
{
    BoxMuller,
    InverseCdf,
}

public enum ReduceOp
{
    Sum,
    Max,
    Min,
    LogSumExp,
    SumOfSquares,
}
