using System.Runtime.CompilerServices;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Reference;

namespace RawDiffusion.Tests;

/// <summary>The Reference device, noting which of its methods were called.</summary>
internal sealed class RecordingBackend : Backend
{
    private readonly ReferenceBackend _inner = new();

    public HashSet<string> Called { get; } = [];

    public override string Name => "recording";

    public override DType FloatType => DType.Float64;

    public override MemoryStatistics Statistics => _inner.Statistics;

    // Tensors find their backend through their storage, so the storages must be this one's.
    public override Storage Allocate(DType dtype, int length) => new ReferenceStorage(this, dtype, length);

    public override void Release(Storage storage) => _inner.Release(storage);

    public override void Upload(ReadOnlySpan<float> source, Storage destination) => _inner.Upload(source, destination);

    public override void Upload(ReadOnlySpan<double> source, Storage destination) => _inner.Upload(source, destination);

    public override void Upload(ReadOnlySpan<int> source, Storage destination) => _inner.Upload(source, destination);

    public override void Download(Storage source, Span<float> destination) => _inner.Download(source, destination);

    public override void Download(Storage source, Span<double> destination) => _inner.Download(source, destination);

    public override void Download(Storage source, Span<int> destination) => _inner.Download(source, destination);

    public override void Copy(Storage x, Storage y) => _inner.Copy(x, y);

    public override void Fill(Storage y, double value) => _inner.Fill(y, value);

    public override void Synchronize() => _inner.Synchronize();

    public override void Unary<TOp>(Storage x, Storage y, double a, double b) =>
        Note().Unary<TOp>(x, y, a, b);

    public override void Binary<TOp>(in BroadcastGeometry g, Storage x, Storage y, Storage z, double a) =>
        Note().Binary<TOp>(in g, x, y, z, a);

    public override void Where(Storage condition, Storage x, Storage y, Storage z) =>
        Note().Where(condition, x, y, z);

    public override void Broadcast(in BroadcastGeometry g, Storage x, Storage y) =>
        Note().Broadcast(in g, x, y);

    public override void Reduce(ReduceOp op, in ReduceGeometry g, Storage x, Storage y) =>
        Note().Reduce(op, in g, x, y);

    public override void ArgMax(in ReduceGeometry g, Storage x, Storage y) =>
        Note().ArgMax(in g, x, y);

    public override void MatMul(in MatMulGeometry g, Storage a, Storage b, Storage? bias, Storage c) =>
        Note().MatMul(in g, a, b, bias, c);

    public override void Conv2d(in Conv2dGeometry g, Storage x, Storage w, in ConvEpilogue epilogue, Storage y) =>
        Note().Conv2d(in g, x, w, in epilogue, y);

    public override void Conv2dGradInput(in Conv2dGeometry g, Storage gy, Storage w, Storage gx) =>
        Note().Conv2dGradInput(in g, gy, w, gx);

    public override void Conv2dGradWeight(in Conv2dGeometry g, Storage x, Storage gy, Storage gw) =>
        Note().Conv2dGradWeight(in g, x, gy, gw);

    public override void UpsampleNearest(in ResampleGeometry g, Storage x, Storage y) =>
        Note().UpsampleNearest(in g, x, y);

    public override void PoolSum(in ResampleGeometry g, double scale, Storage x, Storage y) =>
        Note().PoolSum(in g, scale, x, y);

    public override void PoolSumGrad(in ResampleGeometry g, double scale, Storage gy, Storage gx) =>
        Note().PoolSumGrad(in g, scale, gy, gx);

    public override void Permute(Shape shape, ReadOnlySpan<int> axes, Storage x, Storage y) =>
        Note().Permute(shape, axes, x, y);

    public override void CopyRegion(
        Shape sourceShape, ReadOnlySpan<int> sourceStart, Storage x, Shape destinationShape, ReadOnlySpan<int> destinationStart, Storage y, Shape extent) =>
        Note().CopyRegion(sourceShape, sourceStart, x, destinationShape, destinationStart, y, extent);

    public override void Embedding(in GatherGeometry g, Storage x, Storage index, Storage y) =>
        Note().Embedding(in g, x, index, y);

    public override void EmbeddingGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx) =>
        Note().EmbeddingGrad(in g, gy, index, gx);

    public override void Gather(in GatherGeometry g, Storage x, Storage index, Storage y) =>
        Note().Gather(in g, x, index, y);

    public override void GatherGrad(in GatherGeometry g, Storage gy, Storage index, Storage gx) =>
        Note().GatherGrad(in g, gy, index, gx);

    public override void OneHot(int count, int classes, Storage index, Storage y) =>
        Note().OneHot(count, classes, index, y);

    public override void Softmax(int rows, int columns, bool log, Storage x, Storage y) =>
        Note().Softmax(rows, columns, log, x, y);

    public override void SoftmaxGrad(int rows, int columns, bool log, Storage y, Storage gy, Storage gx) =>
        Note().SoftmaxGrad(rows, columns, log, y, gy, gx);

    public override void CrossEntropy(int rows, int columns, Storage logits, Storage labels, Storage losses) =>
        Note().CrossEntropy(rows, columns, logits, labels, losses);

    public override void CrossEntropyGrad(int rows, int columns, Storage logits, Storage labels, Storage gLosses, Storage gLogits) =>
        Note().CrossEntropyGrad(rows, columns, logits, labels, gLosses, gLogits);

    public override void GroupNorm(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd) =>
        Note().GroupNorm(in g, silu, x, gamma, beta, y, mean, rstd);

    public override void GroupNormGrad(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage mean, Storage rstd, Storage gy, Storage gx, Storage gGamma, Storage gBeta) =>
        Note().GroupNormGrad(in g, silu, x, gamma, beta, mean, rstd, gy, gx, gGamma, gBeta);

    public override void LayerNorm(in LayerNormGeometry g, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd) =>
        Note().LayerNorm(in g, x, gamma, beta, y, mean, rstd);

    public override void LayerNormGrad(
        in LayerNormGeometry g, Storage x, Storage gamma, Storage mean, Storage rstd, Storage gy, Storage gx, Storage gGamma, Storage gBeta) =>
        Note().LayerNormGrad(in g, x, gamma, mean, rstd, gy, gx, gGamma, gBeta);

    public override void Attention(in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp) =>
        Note().Attention(in g, q, k, v, y, logSumExp);

    public override void AttentionGrad(
        in AttentionGeometry g, Storage q, Storage k, Storage v, Storage y, Storage logSumExp, Storage gy, Storage gq, Storage gk, Storage gv) =>
        Note().AttentionGrad(in g, q, k, v, y, logSumExp, gy, gq, gk, gv);

    public override void Uniform(PhiloxState state, double low, double high, Storage y) =>
        Note().Uniform(state, low, high, y);

    public override void Normal(NormalMethod method, PhiloxState state, Storage y) =>
        Note().Normal(method, state, y);

    public override void Integers(PhiloxState state, int low, int high, Storage y) =>
        Note().Integers(state, low, high, y);

    public override void Dropout(PhiloxState state, double p, Storage x, Storage y) =>
        Note().Dropout(state, p, x, y);

    public override void ForwardDiffusion(
        int samples, int size, PhiloxState state, Storage x0, Storage alpha, Storage sigma, Storage xt, Storage noise) =>
        Note().ForwardDiffusion(samples, size, state, x0, alpha, sigma, xt, noise);

    public override void DiffusionStep(in DiffusionStepCoefficients c, PhiloxState state, Storage x, Storage eps, Storage y) =>
        Note().DiffusionStep(in c, state, x, eps, y);

    public override void WeightedMse(int samples, int size, Storage x, Storage y, Storage weights, Storage losses) =>
        Note().WeightedMse(samples, size, x, y, weights, losses);

    public override void WeightedMseGrad(int samples, int size, Storage x, Storage y, Storage weights, Storage gLosses, Storage gx) =>
        Note().WeightedMseGrad(samples, size, x, y, weights, gLosses, gx);

    public override void TimeEmbedding(in TimeEmbeddingGeometry g, Storage t, Storage y) =>
        Note().TimeEmbedding(in g, t, y);

    public override void AdamW(
        in AdamWStep s, Storage parameter, Storage gradient, Storage m, Storage v, Storage? gradientNorm, double maxNorm) =>
        Note().AdamW(in s, parameter, gradient, m, v, gradientNorm, maxNorm);

    public override void Sgd(in SgdStep s, Storage parameter, Storage gradient, Storage buffer, Storage? gradientNorm, double maxNorm) =>
        Note().Sgd(in s, parameter, gradient, buffer, gradientNorm, maxNorm);

    public override void Ema(double decay, Storage parameter, Storage average) =>
        Note().Ema(decay, parameter, average);

    public override void Accumulate(Storage x, Storage y) =>
        Note().Accumulate(x, y);

    private ReferenceBackend Note([CallerMemberName] string method = "")
    {
        Called.Add(method);
        return _inner;
    }
}
