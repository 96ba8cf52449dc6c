using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Tests.Nn;

public class LayerTests
{
    private static Generator Seeded => new(7);

    [Fact]
    public void Linear_multiplies_the_last_axis_by_its_weight_and_adds_its_bias()
    {
        var linear = new Linear(3, 2, Seeded);
        linear.LoadStateDict(new Dictionary<string, Tensor>
        {
            ["weight"] = Tensor.From([1f, 2, 3, 4, 5, 6], [2, 3]),
            ["bias"] = Tensor.From([10f, 20], [2]),
        });
        var y = linear.Forward(Tensor.Ones([2, 1, 3]));

        Assert.Equal(new Shape(2, 1, 2), y.Shape);
        Assert.Equal([16f, 35, 16, 35], y.ToArray());
        Assert.Equal("Linear(3 -> 2), 8 parameters", linear.ToString());
        Assert.Equal(["weight"], new Linear(3, 2, Seeded, bias: false).NamedParameters().Select(p => p.Name));
    }

    [Fact]
    public void A_convolution_has_PyTorchs_parameters_and_range_of_initial_values()
    {
        var conv = new Conv2d(6, 4, 3, Seeded, groups: 2);

        Assert.Equal(new Shape(4, 3, 3, 3), conv.Weight.Shape);
        Assert.Equal(new Shape(4), conv.Bias!.Shape);
        // Kaiming uniform with a = sqrt(5): +-1 / sqrt(fan in), fan in 3 * 3 * 3.
        double bound = 1 / Math.Sqrt(27);
        Assert.All(conv.Weight.ToArray(), w => Assert.InRange(w, -bound, bound));
        Assert.InRange(conv.Weight.ToArray().Max(), 0.8 * bound, bound);
        Assert.Null(new Conv2d(6, 4, 3, Seeded, bias: false).Bias);
    }

    [Fact]
    public void A_convolution_strides_and_pads()
    {
        var conv = new Conv2d(3, 4, 3, Seeded, stride: 2, padding: 1);

        Assert.Equal(new Shape(2, 4, 3, 4), conv.Forward(Tensor.Ones([2, 7, 5, 3])).Shape);
        Assert.Equal("Conv2d(3 -> 4, 3x3, stride 2x2, padding 1), 112 parameters", conv.ToString());
    }

    [Fact]
    public void A_convolution_adds_a_bias_per_sample_and_a_residual()
    {
        var conv = new Conv2d(3, 4, 3, Seeded, padding: 1);
        Tensor x = Tensor.Randn(Seeded, [2, 3, 3, 3]), time = Tensor.Randn(Seeded, [2, 4]), around = Tensor.Randn(Seeded, [2, 3, 3, 4]);

        var expected = conv.Forward(x) + time.Reshape(2, 1, 1, 4) + around;
        foreach (var (sum, fused) in expected.ToArray().Zip(conv.Forward(x, sampleBias: time, residual: around).ToArray()))
            Assert.Equal(sum, fused, 2e-6f);
    }

    [Fact]
    public void Channels_that_do_not_divide_into_groups_are_refused() =>
        Assert.Throws<ArgumentException>(() => new Conv2d(3, 4, 3, Seeded, groups: 2));

    [Fact]
    public void The_same_generator_gives_the_same_values_on_every_device_but_for_rounding()
    {
        var cpu = new Conv2d(3, 4, 3, Seeded, device: Device.Cpu);
        var reference = new Conv2d(3, 4, 3, Seeded, device: Device.Reference);

        // low + (high - low) u, rounded twice to float32 below 0.2.
        foreach (var (expected, actual) in reference.Weight.ToArray().Zip(cpu.Weight.ToArray()))
            Assert.Equal(expected, actual, 3e-8f);
    }

    [Fact]
    public void Initial_values_survive_the_scope_they_were_made_in()
    {
        Conv2d conv;
        using (new MemoryScope())
            conv = new Conv2d(1, 1, 1, Seeded);

        Assert.Single(conv.Weight.ToArray());
    }

    [Fact]
    public void Dropout_acts_in_training_only_and_keeps_the_mean()
    {
        foreach (double p in (double[])[-0.1, 1.1, double.NaN])
            Assert.Contains($"{p}", Assert.Throws<ArgumentOutOfRangeException>(() => new Dropout(p, Seeded)).Message);
        var dropout = new Dropout(0.25, Seeded);
        var x = Tensor.Ones([10_000]);
        var y = dropout.Forward(x).ToArray();

        Assert.All(y, v => Assert.True(v == 0 || v == 4f / 3, $"{v}"));
        // Standard deviation of the count of zeros: sqrt(10000 * 0.25 * 0.75) = 43.
        Assert.InRange(y.Count(v => v == 0), 2500 - 5 * 43, 2500 + 5 * 43);
        dropout.Eval();
        Assert.All(dropout.Forward(x).ToArray(), v => Assert.Equal(1f, v));
    }

    [Fact]
    public void Sequential_runs_in_order_and_names_by_position()
    {
        var chain = new Sequential(new Conv2d(1, 2, 1, Seeded), new Dropout(0.5, Seeded), new Conv2d(2, 3, 1, Seeded, bias: false));

        Assert.Equal(["0.weight", "0.bias", "2.weight"], chain.NamedParameters().Select(p => p.Name));
        Assert.Equal(new Shape(1, 2, 2, 3), chain.Forward(Tensor.Ones([1, 2, 2, 1])).Shape);
        Assert.Equal(["head.0.weight", "head.0.bias", "head.2.weight"], new Holder(chain).NamedParameters().Select(p => p.Name));
    }

    [Fact]
    public void Norms_start_as_plain_normalisation_with_PyTorchs_names()
    {
        var x = Tensor.From([1f, 2, 3, 6], [1, 1, 4]);
        Assert.Contains("4 channels cannot be cut into 3 groups", Assert.Throws<ArgumentException>(() => new GroupNorm(3, 4)).Message);
        Assert.Throws<ArgumentException>(() => new GroupNorm(0, 4));
        var (group, layer) = (new GroupNorm(2, 4, eps: 0), new LayerNorm(4, eps: 0));

        // Groups (1, 2) and (3, 6); the row 1, 2, 3, 6 has mean 3 and variance 3.5.
        float s = MathF.Sqrt(3.5f);
        AssertClose([-1, 1, -1, 1], group.Forward(x));
        AssertClose([-2 / s, -1 / s, 0, 3 / s], layer.Forward(x));
        Assert.Equal(["weight", "bias"], group.NamedParameters().Select(p => p.Name));
        Assert.Equal(["weight", "bias"], layer.NamedParameters().Select(p => p.Name));
    }

    [Fact]
    public void Group_norm_can_end_with_silu()
    {
        var x = Tensor.From([1f, 2, 3, 6], [1, 1, 4]);
        // silu(z) = z / (1 + exp(-z)).
        float low = -1 / (1 + MathF.E), high = 1 / (1 + 1 / MathF.E);

        AssertClose([low, high, low, high], new GroupNorm(2, 4, eps: 0, silu: true).Forward(x));
    }

    [Fact]
    public void Attention_is_named_as_in_diffusers()
    {
        var attention = new Attention(8, 2, Seeded, contextChannels: 5, bias: false);

        Assert.Equal(
            ["to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias"],
            attention.NamedParameters().Select(p => p.Name));
        Assert.Equal(new Shape(8, 5), attention.ToK.Weight.Shape);
        Assert.Throws<ArgumentException>(() => new Attention(8, 3, Seeded));
    }

    [Fact]
    public void Attention_mixes_the_values_of_the_context_by_the_softmax_of_scaled_products_in_every_head()
    {
        const int channels = 6, heads = 2, width = 3, queries = 4, keys = 5, contextChannels = 2;
        var attention = new Attention(channels, heads, Seeded, contextChannels: contextChannels, device: Device.Reference);
        var x = Tensor.Randn(Seeded, [2, queries, channels], Device.Reference);
        var context = Tensor.Randn(Seeded.Fork(1), [2, keys, contextChannels], Device.Reference);
        double[] q = attention.ToQ.Forward(x).ToDoubleArray(), k = attention.ToK.Forward(context).ToDoubleArray();
        double[] v = attention.ToV.Forward(context).ToDoubleArray();
        var mixed = new double[2 * queries * channels];
        for (int b = 0; b < 2; b++)
        {
            for (int i = 0; i < queries; i++)
            {
                for (int h = 0; h < heads; h++)
                {
                    var weights = new double[keys];
                    for (int j = 0; j < keys; j++)
                    {
                        double product = 0;
                        for (int d = h * width; d < (h + 1) * width; d++)
                            product += q[(b * queries + i) * channels + d] * k[(b * keys + j) * channels + d];
                        weights[j] = Math.Exp(product / Math.Sqrt(width));
                    }
                    for (int d = h * width; d < (h + 1) * width; d++)
                    {
                        for (int j = 0; j < keys; j++)
                            mixed[(b * queries + i) * channels + d] += weights[j] / weights.Sum() * v[(b * keys + j) * channels + d];
                    }
                }
            }
        }
        var expected = attention.ToOut.Forward(Tensor.From(mixed, [2, queries, channels], Device.Reference));

        AssertClose(expected.ToArray(), attention.Forward(x, context));
    }

    [Fact]
    public void Attention_without_a_context_is_of_a_sequence_to_itself()
    {
        var attention = new Attention(4, 1, Seeded);
        var x = Tensor.Randn(Seeded, [1, 3, 4]);

        Assert.Equal(attention.Forward(x, x).ToArray(), attention.Forward(x).ToArray());
        Assert.Contains("[B, T, C]", Assert.Throws<ArgumentException>(() => attention.Forward(Tensor.Ones([3, 4]))).Message);
    }

    [Fact]
    public void An_embedding_looks_rows_up()
    {
        var table = new Embedding(5, 3, Seeded);
        var rows = table.Weight.ToArray();

        Assert.Equal([.. rows[12..15], .. rows[0..3]], table.Forward(Tensor.From([4, 0], [2])).ToArray());
        Assert.Equal(["weight"], table.NamedParameters().Select(p => p.Name));
        Assert.Throws<ArgumentException>(() => table.Forward(Tensor.Ones([2])));
    }

    [Fact]
    public void Layers_without_parameters_do_what_their_functions_do()
    {
        var x = Tensor.From([-1f, 0, 1, 2], [1, 2, 2, 1]);

        Assert.Equal(F.Silu(x).ToArray(), new SiLU().Forward(x).ToArray());
        Assert.Equal(F.Gelu(x).ToArray(), new GELU().Forward(x).ToArray());
        Assert.Equal([0f, 0, 1, 2], new ReLU().Forward(x).ToArray());
        Assert.Equal([0.5f], new AvgPool2d(2).Forward(x).ToArray());
        Assert.Equal(new Shape(1, 4, 4, 1), new UpsampleNearest(2).Forward(x).Shape);
        Assert.Equal(new Shape(1, 4), new Flatten().Forward(x).Shape);
    }

    /// <summary>Values near 1, a handful of float32 roundings each.</summary>
    private static void AssertClose(float[] expected, Tensor actual)
    {
        Assert.Equal(expected.Length, actual.Count);
        foreach (var (e, a) in expected.Zip(actual.ToArray()))
            Assert.Equal(e, a, 1e-6f);
    }

    private sealed class Holder(Sequential head) : Module
    {
        public Sequential Head { get; } = head;
    }
}
