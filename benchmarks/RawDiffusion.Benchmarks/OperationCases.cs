using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion.Benchmarks;

/// <summary>One kernel of the cpu device at one shape.</summary>
/// <param name="Flops">Floating-point operations that the computation needs; 0 where bytes are the measure.</param>
/// <param name="Bytes">Bytes that must be read and written at least, each once.</param>
internal sealed record OperationCase(string Name, string Shape, double Flops, double Bytes, Action Run)
{
    public override string ToString() => $"{Name} {Shape}";
}

/// <summary>The kernels of the table of speeds, called as autograd calls them but without it.</summary>
internal static class OperationCases
{
    private const int F32 = sizeof(float);
    private static readonly Backend s_cpu = Device.Cpu;
    private static readonly Generator s_generator = new(0);

    public static IReadOnlyList<OperationCase> All { get; } =
    [
        .. MatMul(), .. Convolutions(), .. Normalizations(), .. Attentions(), .. Elementwise(), .. Reductions(), .. Diffusion(), .. Optimizers(),
    ];

    private static Storage Random(params ReadOnlySpan<int> shape) => Tensor.Randn(s_generator, new Shape(shape), s_cpu).Storage;

    private static Storage Scratch(int count) => s_cpu.Allocate(DType.Float32, count);

    private static IEnumerable<OperationCase> MatMul()
    {
        foreach (var (m, n, k) in new[] { (256, 256, 256), (1024, 1024, 1024), (2048, 2048, 2048), (512, 128, 128), (512, 2, 128), (50_176, 64, 64) })
        {
            Storage a = Random(m, k), b = Random(n, k), c = Scratch(m * n);
            var g = new MatMulGeometry(1, m, n, k, false, true, 0, 0);
            yield return new("matmul, B transposed", $"{m} x {n} x {k}", 2.0 * m * n * k, F32 * ((double)m * k + n * k + m * n), () => s_cpu.MatMul(g, a, b, null, c));
        }
        {
            const int M = 128, N = 128, K = 512;
            Storage a = Random(K, M), b = Random(K, N), c = Scratch(M * N);
            var g = new MatMulGeometry(1, M, N, K, true, false, 0, 0);
            yield return new("matmul, A transposed", $"{M} x {N} x {K}", 2.0 * M * N * K, F32 * (M * K + N * K + M * N), () => s_cpu.MatMul(g, a, b, null, c));
        }
    }

    private static IEnumerable<OperationCase> Convolutions()
    {
        foreach (var (size, input, output, kernel) in new[] { (28, 32, 32, 3), (28, 64, 64, 3), (28, 128, 128, 3), (14, 128, 128, 3), (28, 1, 32, 3), (28, 32, 1, 3), (28, 64, 64, 1) })
        {
            var g = new Conv2dGeometry(64, size, size, input, output, kernel, kernel, 1, 1, kernel / 2, kernel / 2, kernel / 2, kernel / 2, 1);
            int pixels = 64 * size * size;
            Storage x = Random(pixels, input), w = Random(output, kernel * kernel * input), y = Random(pixels, output), gx = Scratch(pixels * input), gw = Scratch(w.Length), bias = Random(output);
            string shape = $"64x{size}x{size}, {input} -> {output}, {kernel}x{kernel}";
            double bytes = F32 * ((double)pixels * (input + output) + w.Length);
            yield return new("conv2d", shape, g.Flops, bytes, () => s_cpu.Conv2d(g, x, w, new(bias), y));
            yield return new("conv2d gradient of input", shape, g.Flops, bytes, () => s_cpu.Conv2dGradInput(g, y, w, gx));
            yield return new("conv2d gradient of weight", shape, g.Flops, bytes, () => s_cpu.Conv2dGradWeight(g, x, y, gw));
        }
    }

    private static IEnumerable<OperationCase> Normalizations()
    {
        foreach (int channels in new[] { 32, 64, 128 })
        {
            var g = new GroupNormGeometry(64, 28 * 28, channels, 32, 1e-5f);
            int count = 64 * 28 * 28 * channels;
            Storage x = Random(count), gamma = Random(channels), beta = Random(channels), y = Scratch(count), mean = Scratch(64 * 32), rstd = Scratch(64 * 32);
            Storage gy = Random(count), gx = Scratch(count), gGamma = Scratch(channels), gBeta = Scratch(channels);
            string shape = $"64x28x28x{channels}, 32 groups";
            yield return new("group norm + SiLU", shape, 0, 2.0 * F32 * count, () => s_cpu.GroupNorm(g, true, x, gamma, beta, y, mean, rstd));
            yield return new("group norm + SiLU gradient", shape, 0, 3.0 * F32 * count, () => s_cpu.GroupNormGrad(g, true, x, gamma, beta, mean, rstd, gy, gx, gGamma, gBeta));
        }
        {
            var g = new LayerNormGeometry(16_384, 256, 1e-5f);
            int count = 16_384 * 256;
            Storage x = Random(count), gamma = Random(256), beta = Random(256), y = Scratch(count), mean = Scratch(16_384), rstd = Scratch(16_384);
            yield return new("layer norm", "16384 x 256", 0, 2.0 * F32 * count, () => s_cpu.LayerNorm(g, x, gamma, beta, y, mean, rstd));
            yield return new("softmax", "16384 x 256", 0, 2.0 * F32 * count, () => s_cpu.Softmax(16_384, 256, false, x, y));
        }
    }

    private static IEnumerable<OperationCase> Attentions()
    {
        foreach (var (batch, heads, length, dim) in new[] { (64, 4, 49, 32), (64, 4, 196, 32), (16, 4, 784, 32), (16, 1, 784, 128) })
        {
            var g = new AttentionGeometry(batch, heads, length, length, dim, 1 / MathF.Sqrt(dim));
            int count = batch * heads * length * dim;
            Storage q = Random(count), k = Random(count), v = Random(count), y = Scratch(count), lse = Scratch(batch * heads * length), gy = Random(count);
            Storage gq = Scratch(count), gk = Scratch(count), gv = Scratch(count);
            double product = 2.0 * batch * heads * length * length * dim;
            string shape = $"batch {batch}, {heads} heads of {dim}, {length} x {length}";
            s_cpu.Attention(g, q, k, v, y, lse);
            yield return new("attention", shape, 2 * product, 4.0 * F32 * count, () => s_cpu.Attention(g, q, k, v, y, lse));
            yield return new("attention gradient", shape, 5 * product, 8.0 * F32 * count, () => s_cpu.AttentionGrad(g, q, k, v, y, lse, gy, gq, gk, gv));
        }
    }

    private static IEnumerable<OperationCase> Elementwise()
    {
        const int Count = 1 << 22;
        Storage x = Random(Count), y = Random(Count), z = Scratch(Count), bias = Random(256), indices = s_cpu.Allocate(DType.Int32, 16_384);
        s_cpu.Integers(new PhiloxState(1, 0, 0), 0, 16_384, indices);
        var same = new BroadcastGeometry([Count], [Count], [Count]);
        var row = new BroadcastGeometry([Count / 256, 256], [Count / 256, 256], [256]);
        yield return new("copy", "4M", 0, 2.0 * F32 * Count, () => s_cpu.Copy(x, z));
        yield return new("add", "4M", 0, 3.0 * F32 * Count, () => s_cpu.Binary<Add>(same, x, y, z, 0));
        yield return new("add a row", "16384 x 256", 0, 2.0 * F32 * Count, () => s_cpu.Binary<Add>(row, x, bias, z, 0));
        yield return new("exp", "4M", 0, 2.0 * F32 * Count, () => s_cpu.Unary<Exp>(x, z, 0, 0));
        yield return new("silu", "4M", 0, 2.0 * F32 * Count, () => s_cpu.Unary<Silu>(x, z, 0, 0));
        yield return new("gelu", "4M", 0, 2.0 * F32 * Count, () => s_cpu.Unary<Gelu>(x, z, 0, 0));
        yield return new("sin", "4M", 0, 2.0 * F32 * Count, () => s_cpu.Unary<Sin>(x, z, 0, 0));
        yield return new("permute NHWC to NCHW", "64x256x256", 0, 2.0 * F32 * Count, () => s_cpu.Permute([64, 256, 256], [0, 2, 1], x, z));
        var gather = new GatherGeometry(1, 16_384, 256, 16_384);
        yield return new("embedding", "16384 rows of 256", 0, 2.0 * F32 * Count, () => s_cpu.Embedding(gather, x, indices, z));
        yield return new("embedding gradient", "16384 rows of 256", 0, 2.0 * F32 * Count, () => s_cpu.EmbeddingGrad(gather, x, indices, z));
    }

    private static IEnumerable<OperationCase> Reductions()
    {
        const int Count = 1 << 22;
        Storage x = Random(Count), y = Scratch(Count / 256);
        yield return new("sum of all", "4M", 0, 1.0 * F32 * Count, () => s_cpu.Reduce(ReduceOp.Sum, new ReduceGeometry(1, Count, 1), x, y));
        yield return new("sum of rows", "16384 x 256", 0, 1.0 * F32 * Count, () => s_cpu.Reduce(ReduceOp.Sum, new ReduceGeometry(Count / 256, 256, 1), x, y));
        yield return new("sum of columns", "16384 x 256", 0, 1.0 * F32 * Count, () => s_cpu.Reduce(ReduceOp.Sum, new ReduceGeometry(1, Count / 256, 256), x, y));
        yield return new("logSumExp of rows", "16384 x 256", 0, 1.0 * F32 * Count, () => s_cpu.Reduce(ReduceOp.LogSumExp, new ReduceGeometry(Count / 256, 256, 1), x, y));
    }

    private static IEnumerable<OperationCase> Diffusion()
    {
        const int Samples = 4096, Size = 1024, Count = Samples * Size;
        Storage x = Random(Count), noise = Scratch(Count), xt = Scratch(Count), alpha = Random(Samples), sigma = Random(Samples), losses = Scratch(Samples);
        var state = new PhiloxState(1, 2, 3);
        var step = new DiffusionStepCoefficients(1.1, 0.5, double.PositiveInfinity, 0.1, 0.8, 0, 0.3);
        yield return new("uniform", "4M", 0, 1.0 * F32 * Count, () => s_cpu.Uniform(state, 0, 1, xt));
        yield return new("normal, Box-Muller", "4M", 0, 1.0 * F32 * Count, () => s_cpu.Normal(NormalMethod.BoxMuller, state, xt));
        yield return new("normal, inverse CDF", "4M", 0, 1.0 * F32 * Count, () => s_cpu.Normal(NormalMethod.InverseCdf, state, xt));
        yield return new("forward diffusion", "4096 x 1024", 0, 3.0 * F32 * Count, () => s_cpu.ForwardDiffusion(Samples, Size, state, x, alpha, sigma, xt, noise));
        yield return new("DDIM step", "4M", 0, 3.0 * F32 * Count, () => s_cpu.DiffusionStep(step with { NoiseScale = 0 }, state, x, noise, xt));
        yield return new("DDPM step", "4M", 0, 3.0 * F32 * Count, () => s_cpu.DiffusionStep(step, state, x, noise, xt));
        yield return new("weighted mse", "4096 x 1024", 0, 2.0 * F32 * Count, () => s_cpu.WeightedMse(Samples, Size, x, xt, alpha, losses));
    }

    private static IEnumerable<OperationCase> Optimizers()
    {
        const int Count = 1 << 22;
        Storage p = Random(Count), g = Random(Count), m = Random(Count), v = Scratch(Count), average = Random(Count);
        s_cpu.Fill(v, 1);
        var step = new AdamWStep(1e-9, 0.9, 0.999, 1e-8, 0.01, true, 0.5, 0.5);
        yield return new("AdamW", "4M", 0, 7.0 * F32 * Count, () => s_cpu.AdamW(step, p, g, m, v, null, 0));
        yield return new("EMA", "4M", 0, 3.0 * F32 * Count, () => s_cpu.Ema(0.999, p, average));
    }
}
