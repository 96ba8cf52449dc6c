using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Peers;
using RawDiffusion.Ops;

namespace RawDiffusion.Benchmarks;

/// <summary>The computations that are compared, each as one call; the same as in <c>peers/torch_cpu.py</c>.</summary>
internal static class PeerCases
{
    private static readonly Generator s_generator = new(0);

    public static Action Create(JsonObject request)
    {
        int Number(string name) => request[name]!.GetValue<int>();
        bool Flag(string name) => request[name]!.GetValue<bool>();
        return request["op"]!.GetValue<string>() switch
        {
            "gemm" => Gemm(Number("n")),
            "conv" => Conv(
                Number("batch"), Number("size"), Number("inputs"), Number("outputs"), Number("kernel"), Number("stride"), request["what"]!.GetValue<string>()),
            "group_norm" => GroupNorm(Number("batch"), Number("size"), Number("channels"), Number("groups"), Flag("silu")),
            "attention" => Attention(Number("batch"), Number("heads"), Number("queries"), Number("keys"), Number("dim")),
            "mlp_step" => PeerModels.ToyStep(Number("batch"), Device.Cpu).RunStep,
            "unet_step" => PeerModels.TrainingStep(PeerModels.Mnist, Number("batch"), Device.Cpu).RunStep,
            "unet_sample" => PeerModels.Sampling(PeerModels.Mnist, Number("count"), Number("steps"), Device.Cpu, Precision.Float32, records: false, out _),
            var unknown => throw new ArgumentException($"unknown operation '{unknown}'"),
        };
    }

    /// <summary>Bytes: the high-water mark of what this process had in memory.</summary>
    public static long PeakMemory()
    {
        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
        return 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2]);
    }

    private static Tensor Random(params ReadOnlySpan<int> shape) => Tensor.Randn(s_generator, new Shape(shape));

    private static Action Gemm(int n)
    {
        Tensor a = Random(n, n), b = Random(n, n);
        return () => InScope(() => a.MatMul(b));
    }

    /// <summary>Of a convolution with same padding: y, gx or gw alone, or all three through autograd.</summary>
    private static Action Conv(int batch, int size, int inputs, int outputs, int kernel, int stride, string what)
    {
        int padding = kernel / 2;
        Tensor x = Random(batch, size, size, inputs), w = Random(outputs, kernel, kernel, inputs) * 0.1;
        var geometry = Convolution.Geometry(x, w, stride, stride, padding, padding, padding, padding, 1);
        var g = Random(batch, geometry.OutHeight, geometry.OutWidth, outputs);
        return what switch
        {
            "y" => () => InScope(() => F.Conv2d(x, w, stride: stride, padding: padding)),
            "gx" => () => InScope(() => new Conv2dGradInput(geometry).Apply(g, w)),
            "gw" => () => InScope(() => new Conv2dGradWeight(geometry, DType.Float32).Apply(x, g)),
            "all" => ForwardBackward(() => F.Conv2d(x, w, stride: stride, padding: padding), g, x.RequireGrad(), w.RequireGrad()),
            _ => throw new ArgumentException($"unknown part '{what}' of a convolution"),
        };
    }

    private static Action GroupNorm(int batch, int size, int channels, int groups, bool silu)
    {
        var x = Random(batch, size, size, channels).RequireGrad();
        Tensor w = Tensor.Ones([channels]).RequireGrad(), b = Tensor.Zeros([channels]).RequireGrad();
        var g = Random(batch, size, size, channels);
        return ForwardBackward(() => silu ? F.GroupNormSilu(x, groups, w, b) : F.GroupNorm(x, groups, w, b), g, x, w, b);
    }

    private static Action Attention(int batch, int heads, int queries, int keys, int dim)
    {
        var q = Random(batch, queries, heads, dim).RequireGrad();
        Tensor k = Random(batch, keys, heads, dim).RequireGrad(), v = Random(batch, keys, heads, dim).RequireGrad();
        return ForwardBackward(() => F.ScaledDotProductAttention(q, k, v), Random(batch, queries, heads, dim), q, k, v);
    }

    private static void InScope(Func<Tensor> run)
    {
        using var scope = new MemoryScope();
        run();
    }

    private static Action ForwardBackward(Func<Tensor> run, Tensor gradient, params Tensor[] leaves) => () =>
    {
        using var scope = new MemoryScope();
        run().Backward(gradient);
        foreach (var leaf in leaves)
            leaf.ZeroGrad();
    };
}
