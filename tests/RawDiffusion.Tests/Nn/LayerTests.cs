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

    private sealed class Holder(Sequential head) : Module
    {
        public Sequential Head { get; } = head;
    }
}
