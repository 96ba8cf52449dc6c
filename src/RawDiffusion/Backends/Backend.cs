namespace RawDiffusion.Backends;

/// <summary>
/// All that a device must do: kernel-sized methods over storages. Shapes have been checked and outputs allocated by the caller;
/// outputs never overlap inputs unless a method says so. Every method is abstract: the compiler is the checklist.
/// </summary>
/// <remarks>
/// Floating storages are <see cref="FloatType"/>: float64 on Reference, float32 elsewhere; Int32 storages hold indices. A GPU takes
/// bfloat16 as well for what flows through a network (images, scores, their gradients, and both factors of a product); then biases, the
/// parameters of norms, statistics, gradients of weights and losses are float32, and the result of a product or a sum may be.
/// Methods are ordered by family; each implementation has one file per family with the same name.
/// </remarks>
public abstract class Backend
{
    /// <summary>The device name as written on a command line: <c>cpu</c>, <c>reference</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The floating type of this device: of parameters, statistics, losses, and of whatever nobody asked to be another.</summary>
    public abstract DType FloatType { get; }

    /// <summary>What networks can compute in on this device.</summary>
    public abstract IReadOnlyList<Precision> Precisions { get; }

    /// <summary>
    /// Whether products of float32 may be made by tensor cores, which look at 10 of the 23 fraction bits: matrix products, convolutions
    /// and attention become faster by several times and less exact by a thousandth. Off at first.
    /// </summary>
    /// <exception cref="NotSupportedException">It is asked for, and <see cref="Precision.Tf32"/> is not among <see cref="Precisions"/>.</exception>
    public bool AllowTf32
    {
        get;
        set => field = !value || Precisions.Contains(Precision.Tf32)
            ? value
            : throw new NotSupportedException($"The {Name} device has no tensor cores for tf32; it computes in {string.Join(", ", Precisions.Select(precision => precision.Name()))}.");
    }

    // Memory ----------------------------------------------------------------------------------------------------------

    /// <summary>Takes <paramref name="length"/> elements from the pool or makes them; the contents are undefined.</summary>
    public abstract Storage Allocate(DType dtype, int length);

    /// <summary>Puts a storage back into the pool and raises its generation.</summary>
    public abstract void Release(Storage storage);

    /// <summary>What the pool has done so far.</summary>
    public abstract MemoryStatistics Statistics { get; }

    public abstract void Upload(ReadOnlySpan<float> source, Storage destination);

    public abstract void Upload(ReadOnlySpan<double> source, Storage destination);

    public abstract void Upload(ReadOnlySpan<int> source, Storage destination);

    public abstract void Download(Storage source, Span<float> destination);

    public abstract void Download(Storage source, Span<double> destination);

    public abstract void Download(Storage source, Span<int> destination);

    public abstract void Copy(Storage x, Storage y);

    public abstract void Fill(Storage y, double value);

    /// <summary>y = x in another type, rounded to nearest even where y has fewer bits or holds integers.</summary>
    public abstract void Cast(Storage x, Storage y);

    // Elementwise -----------------------------------------------------------------------------------------------------

    /// <summary>y = f(x; a, b). y may be x.</summary>
    public abstract void Unary<TOp>(Storage x, Storage y, double a, double b) where TOp : struct, IUnaryOperator;

    /// <summary>z = f(x, y; a) with broadcasting. z may be x or y where its strides are those of the output.</summary>
    public abstract void Binary<TOp>(in BroadcastGeometry g, Storage x, Storage y, Storage z, double a) where TOp : struct, IBinaryOperator;

    /// <summary>z = condition != 0 ? x : y, all of the same length.</summary>
    public abstract void Where(Storage condition, Storage x, Storage y, Storage z);

    /// <summary>y = x repeated along broadcast axes (strides A of the geometry; B is not used). Also for Int32.</summary>
    public abstract void Broadcast(in BroadcastGeometry g, Storage x, Storage y);

    // Reduction -------------------------------------------------------------------------------------------------------

    /// <summary>y[Outer, Inner] = op over the middle axis of x. Sum and SumOfSquares of nothing are 0; Max, Min and LogSumExp need Reduce >= 1.</summary>
    public abstract void Reduce(ReduceOp op, in ReduceGeometry g, Storage x, Storage y);

    /// <summary>Index (Int32) of the first largest element along the middle axis.</summary>
    public abstract void ArgMax(in ReduceGeometry g, Storage x, Storage y);

    // MatMul ----------------------------------------------------------------------------------------------------------

    /// <summary>c = op(a) op(b) (+ bias[N] added to every row when given).</summary>
    public abstract void MatMul(in MatMulGeometry g, Storage a, Storage b, Storage? bias, Storage c);

    // Convolution -----------------------------------------------------------------------------------------------------

    /// <summary>y = x * w and what the epilogue makes of it, in one pass over y; cross-correlation as in every framework.</summary>
    public abstract void Conv2d(in Conv2dGeometry g, Storage x, Storage w, in ConvEpilogue epilogue, Storage y);

    public abstract void Conv2dGradInput(in Conv2dGeometry g, Storage gy, Storage w, Storage gx);

    public abstract void Conv2dGradWeight(in Conv2dGeometry g, Storage x, Storage gy, Storage gw);

    // Resampling ------------------------------------------------------------------------------------------------------

    /// <summary>y[Batch, Height * FactorHeight, Width * FactorWidth, Channels]: every pixel repeated.</summary>
    public abstract void UpsampleNearest(in ResampleGeometry g, Storage x, Storage y);

    /// <summary>
    /// y[Batch, Height / FactorHeight, Width / FactorWidth, Channels] = scale * sum over windows (scale 1 / window: average
    /// pooling; scale 1: gradient of <see cref="UpsampleNearest"/>). Rows and columns beyond whole windows are ignored.
    /// </summary>
    public abstract void PoolSum(in ResampleGeometry g, double scale, Storage x, Storage y);

    /// <summary>Gradient of <see cref="PoolSum"/>: gx (the full size of <paramref name="g"/>) = scale * gy of the window; 0 outside whole windows.</summary>
    public abstract void PoolSumGrad(in ResampleGeometry g, double scale, Storage gy, Storage gx);

    // Shaping (Float and Int32) -----------------------------------------------------------------------------------------

    /// <summary>y = x with axes reordered: axis i of y is axis axes[i] of x.</summary>
    public abstract void Permute(Shape shape, ReadOnlySpan<int> axes, Storage x, Storage y);

    /// <summary>
    /// Copies the box of shape <paramref name="extent"/> at <paramref name="sourceStart"/> in x to
    /// <paramref name="destinationStart"/> in y; the rest of y is left alone. Slice, crop, pad and most of concat are made of it.
    /// </summary>
    public abstract void CopyRegion(
        Shape sourceShape, ReadOnlySpan<int> sourceStart, Storage x,
        Shape destinationShape, ReadOnlySpan<int> destinationStart, Storage y, Shape extent);

    /// <summary>y[rows, left + right]: every row of a[rows, left], followed by that of b[rows, right]. Two tensors one after the other, in one pass.</summary>
    public abstract void Join(int rows, int left, int right, Storage a, Storage b, Storage y);

    /// <summary>Takes apart what <see cref="Join"/> makes.</summary>
    public abstract void Split(int rows, int left, int right, Storage y, Storage a, Storage b);

    // Indexing --------------------------------------------------------------------------------------------------------

    /// <summary>y[j, i] = x[index[j], i]: x is [Rows, Inner], index [Count], Outer is 1. Indices have been checked to lie in [0, Rows).</summary>
    public abstract void Embedding(in GatherGeometry g, Storage x, Storage index, Storage y);

    /// <summary>gx[index[j], i] += gy[j, i] from zero, in the order of j: the same bits every time.</summary>
    public abstract void EmbeddingGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx);

    /// <summary>y[o, j, i] = x[o, index[o, j, i], i], as torch.gather.</summary>
    public abstract void Gather(in GatherGeometry g, Storage x, Storage index, Storage y);

    /// <summary>gx[o, index[o, j, i], i] += gy[o, j, i] from zero, in the order of j.</summary>
    public abstract void GatherGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx);

    /// <summary>y[n, classes] = 1 where classes == index[n], else 0.</summary>
    public abstract void OneHot(int count, int classes, Storage index, Storage y);

    // Softmax ---------------------------------------------------------------------------------------------------------

    /// <summary>Softmax (or its logarithm) over the last axis of x[rows, columns].</summary>
    public abstract void Softmax(int rows, int columns, bool log, Storage x, Storage y);

    /// <summary>gx from y = softmax(x) (or log-softmax) and gy.</summary>
    public abstract void SoftmaxGrad(int rows, int columns, bool log, Storage y, Storage gy, Storage gx);

    /// <summary>losses[row] = logSumExp(logits[row]) - logits[row, labels[row]].</summary>
    public abstract void CrossEntropy(int rows, int columns, Storage logits, Storage labels, Storage losses);

    /// <summary>gLogits[row, c] = gLosses[row] * (softmax(logits[row])[c] - (c == labels[row])).</summary>
    public abstract void CrossEntropyGrad(int rows, int columns, Storage logits, Storage labels, Storage gLosses, Storage gLogits);

    // Normalization ---------------------------------------------------------------------------------------------------

    /// <summary>
    /// y = (x - mean) * rstd * gamma + beta, then SiLU when asked. mean and rstd are [Batch, Groups] and are written;
    /// rstd = 1 / sqrt(biased variance + Epsilon). gamma and beta are [Channels].
    /// </summary>
    public abstract void GroupNorm(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd);

    /// <summary>Gradients of <see cref="GroupNorm"/>; what SiLU needs is recomputed from x.</summary>
    public abstract void GroupNormGrad(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta);

    /// <summary>y = (x - mean) * rstd * gamma + beta per row; mean and rstd are [Rows].</summary>
    public abstract void LayerNorm(in LayerNormGeometry g, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd);

    public abstract void LayerNormGrad(
        in LayerNormGeometry g, Storage x, Storage gamma, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta);

    // Attention -------------------------------------------------------------------------------------------------------

    /// <summary>Scaled-dot-product attention without a stored score matrix; logSumExp[Batch, Heads, QueryLength] is kept for the gradient.</summary>
    public abstract void Attention(in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp);

    public abstract void AttentionGrad(
        in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp, Storage gy,
        Storage gq, Storage gk, Storage gv);

    // Random ----------------------------------------------------------------------------------------------------------
    // Element i uses lane i % 4 of block i / 4 of the Philox4x32-10 stream, on every device and for any number of threads.

    /// <summary>y = low + (high - low) * u, u = (r >> 8) * 2^-24 in [0, 1), r the 32-bit integer of the element.</summary>
    public abstract void Uniform(PhiloxState state, double low, double high, Storage y);

    /// <summary>
    /// Standard normals.
    /// BoxMuller: lanes (0, 1) and (2, 3) of a block make two normals each: u1 = ((r0 >> 8) + 1) 2^-24 in (0, 1],
    /// u2 = (r1 >> 8) 2^-24, radius = sqrt(-2 ln u1): radius cos(2 pi u2) for the even lane, radius sin(2 pi u2) for the odd.
    /// InverseCdf: v = (2 (r >> 9) + 1) 2^-23 - 1 in (-1, 1), exact in float32; normal = sqrt(2) erfinv(v).
    /// </summary>
    public abstract void Normal(NormalMethod method, PhiloxState state, Storage y);

    /// <summary>Integers in [low, high) without modulo bias: Lemire's multiply-shift with rejection, see <see cref="Philox.Integer"/>.</summary>
    public abstract void Integers(PhiloxState state, int low, int high, Storage y);

    /// <summary>y = x / (1 - p) where the element's u >= p, else 0, u as in <see cref="Uniform"/>. Its gradient is itself with the same state.</summary>
    public abstract void Dropout(PhiloxState state, double p, Storage x, Storage y);

    // Diffusion (each one pass; normals are Box-Muller, element i of the batch uses element i of the stream) --------------

    /// <summary>
    /// x_t = alpha[n] x_0 + sigma[n] noise for every sample n of x0[samples, size]; noise is drawn inside and returned.
    /// </summary>
    public abstract void ForwardDiffusion(
        int samples, int size, PhiloxState state, Storage x0, Storage alpha, Storage sigma, Storage xt, Storage noise);

    /// <summary>One step of a sampler, see <see cref="DiffusionStepCoefficients"/>. y may be x.</summary>
    public abstract void DiffusionStep(in DiffusionStepCoefficients c, PhiloxState state, Storage x, Storage eps, Storage y);

    /// <summary>losses[n] = weights[n] * mean over the sample of (x - y)^2, for x and y[samples, size].</summary>
    public abstract void WeightedMse(int samples, int size, Storage x, Storage y, Storage weights, Storage losses);

    /// <summary>gx[n, i] = gLosses[n] * weights[n] * 2 (x - y) / size. The gradient for y is its negative.</summary>
    public abstract void WeightedMseGrad(int samples, int size, Storage x, Storage y, Storage weights, Storage gLosses, Storage gx);

    public abstract void TimeEmbedding(in TimeEmbeddingGeometry g, Storage t, Storage y);

    // Optimizer (in place, on flat arenas) ------------------------------------------------------------------------------

    /// <summary>
    /// One AdamW step on parameter, with gradients multiplied by min(1, maxNorm / (norm + 1e-6)) when a norm (one element) is given:
    /// clipping needs no read-back to the host. Where an average is given it then takes the new parameter in, to the same bits as
    /// <see cref="Ema"/> would, while that is at hand.
    /// </summary>
    public abstract void AdamW(
        in AdamWStep s, Storage parameter, Storage gradient, Storage m, Storage v, Storage? gradientNorm, double maxNorm,
        Storage? average = null, double decay = 0);

    public abstract void Sgd(in SgdStep s, Storage parameter, Storage gradient, Storage buffer, Storage? gradientNorm, double maxNorm);

    /// <summary>average = decay * average + (1 - decay) * parameter.</summary>
    public abstract void Ema(double decay, Storage parameter, Storage average);

    /// <summary>y += x, in place: gradient accumulation.</summary>
    public abstract void Accumulate(Storage x, Storage y);

    /// <summary>Waits until everything asked of the device has been done. Nothing to do on a CPU.</summary>
    public abstract void Synchronize();

    // Recording -------------------------------------------------------------------------------------------------------

    /// <summary>
    /// Records what <paramref name="work"/> asks of this device; nothing of it is done. The same must have been done once before, so
    /// that kernels are loaded and the pool holds the memory it takes. It may neither upload nor download, and no other thread may use
    /// the device meanwhile: its work would be recorded too.
    /// </summary>
    /// <exception cref="RecordingMemoryException">What the run before has left in the pool has been taken by another recording: run it once more.</exception>
    /// <returns>Null on a device that does at once what it is asked, where a repetition would save nothing; the work is not called then.</returns>
    public abstract RecordedWork? Record(Action work);

    /// <summary>Whether <see cref="Record"/> records.</summary>
    public abstract bool CanRecord { get; }

    /// <summary>Whether a <see cref="Record"/> of this device is going on: nothing can be read back.</summary>
    public abstract bool IsRecording { get; }

    public override string ToString() => Name;
}

/// <summary>What becomes of a convolution's sums while they are still in registers; each part is optional.</summary>
/// <param name="Bias">[OutChannels], added to every pixel.</param>
/// <param name="SampleBias">[Batch, OutChannels], added to every pixel of a sample: the time embedding of a diffusion model.</param>
/// <param name="Residual">The shape of the output, added element by element.</param>
/// <param name="Silu">Whether the output is silu of all that.</param>
/// <param name="Sums">With silu: the shape of the output, gets what silu is taken of, which its derivative asks for.</param>
public readonly record struct ConvEpilogue(
    Storage? Bias = null, Storage? SampleBias = null, Storage? Residual = null, bool Silu = false, Storage? Sums = null);

/// <summary>What a backend's memory pool has done.</summary>
/// <param name="BytesHeld">Bytes the pool owns, in use or free.</param>
/// <param name="BytesFree">Bytes of that waiting to be reused.</param>
/// <param name="Allocations">How many blocks were newly made since the start (not taken from the pool).</param>
public readonly record struct MemoryStatistics(long BytesHeld, long BytesFree, long Allocations);
