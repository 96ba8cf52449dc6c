using RawDiffusion.Backends;

namespace RawDiffusion.Tests.Optim;

/// <summary>The passes over flat arenas, against recurrences written out in double.</summary>
public class OptimizerKernelTests
{
    // Float32 rounding of three steps of values near 1; single roundings are 6e-8.
    private const double Tolerance = 1e-6;

    public static TheoryData<string> Devices => [.. Device.Names];

    public static TheoryData<string, int> DevicesAndLengths()
    {
        var data = new TheoryData<string, int>();
        foreach (string device in Device.Names)
        {
            // Less than a vector, whole vectors, a tail, and several pieces of the parallel loop.
            foreach (int length in (int[])[0, 1, 31, 32, 33, 20_011])
                data.Add(device, length);
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(DevicesAndLengths))]
    public void AdamW_follows_algorithm_2(string deviceName, int length)
    {
        var device = Device.Parse(deviceName);
        foreach (bool decoupled in (bool[])[true, false])
        {
            var (p, g, m, v) = (Values(length, 1), Values(length, 2), new double[length], new double[length]);
            Tensor tp = On(device, p), tm = Tensor.Zeros([length], device), tv = Tensor.Zeros([length], device);
            for (int t = 1; t <= 3; t++)
            {
                var s = new AdamWStep(0.01, 0.9, 0.99, 1e-8, 0.1, decoupled, 1 - Math.Pow(0.9, t), 1 - Math.Pow(0.99, t));
                for (int i = 0; i < length; i++)
                {
                    double gi = g[i] + (decoupled ? 0 : 0.1 * p[i]);
                    if (decoupled)
                        p[i] *= 1 - 0.01 * 0.1;
                    m[i] = 0.9 * m[i] + 0.1 * gi;
                    v[i] = 0.99 * v[i] + 0.01 * gi * gi;
                    p[i] -= 0.01 * (m[i] / (1 - Math.Pow(0.9, t))) / (Math.Sqrt(v[i] / (1 - Math.Pow(0.99, t))) + 1e-8);
                }
                device.AdamW(s, tp.Storage, On(device, g).Storage, tm.Storage, tv.Storage, null, 0);
            }
            AssertClose(p, tp);
            AssertClose(m, tm);
            AssertClose(v, tv);
        }
    }

    [Theory]
    [MemberData(nameof(DevicesAndLengths))]
    public void AdamW_takes_its_result_into_an_average_as_Ema_does_bit_for_bit(string deviceName, int length)
    {
        var device = Device.Parse(deviceName);
        var s = new AdamWStep(0.01, 0.9, 0.99, 1e-8, 0.1, true, 0.19, 0.02);
        (double[] Parameter, double[] M, double[] V, double[] Average) Run(bool inOne)
        {
            Tensor p = On(device, Values(length, 1)), m = On(device, Values(length, 3)), a = On(device, Values(length, 4));
            Tensor v = On(device, [.. Values(length, 5).Select(Math.Abs)]), norm = Tensor.Full([1], 3, device);
            device.AdamW(s, p.Storage, On(device, Values(length, 2)).Storage, m.Storage, v.Storage, norm.Storage, 1, inOne ? a.Storage : null, 0.75);
            if (!inOne)
                device.Ema(0.75, p.Storage, a.Storage);
            return (p.ToDoubleArray(), m.ToDoubleArray(), v.ToDoubleArray(), a.ToDoubleArray());
        }
        var (one, two) = (Run(true), Run(false));
        Assert.Equal(two.Parameter, one.Parameter);
        Assert.Equal(two.M, one.M);
        Assert.Equal(two.V, one.V);
        Assert.Equal(two.Average, one.Average);
    }

    [Theory]
    [MemberData(nameof(DevicesAndLengths))]
    public void Sgd_has_momentum_and_looks_ahead(string deviceName, int length)
    {
        var device = Device.Parse(deviceName);
        foreach (bool nesterov in (bool[])[true, false])
        {
            var (p, g, b) = (Values(length, 1), Values(length, 2), Values(length, 3));
            Tensor tp = On(device, p), tb = On(device, b);
            for (int t = 1; t <= 3; t++)
            {
                for (int i = 0; i < length; i++)
                {
                    double gi = g[i] + 0.1 * p[i];
                    b[i] = t == 1 ? gi : 0.9 * b[i] + gi;
                    p[i] -= 0.01 * (nesterov ? gi + 0.9 * b[i] : b[i]);
                }
                device.Sgd(new SgdStep(0.01, 0.9, 0.1, nesterov, t == 1), tp.Storage, On(device, g).Storage, tb.Storage, null, 0);
            }
            AssertClose(p, tp);
            AssertClose(b, tb);
        }
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Sgd_without_momentum_leaves_the_buffer_alone(string deviceName)
    {
        var device = Device.Parse(deviceName);
        Tensor p = Tensor.Ones([33], device), g = Tensor.Full([33], 2, device), b = Tensor.Full([33], 7, device);
        device.Sgd(new SgdStep(0.25, 0, 0, false, true), p.Storage, g.Storage, b.Storage, null, 0);

        Assert.All(p.ToArray(), x => Assert.Equal(0.5f, x));
        Assert.All(b.ToArray(), x => Assert.Equal(7f, x));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void A_gradient_norm_above_the_limit_scales_the_gradients_and_one_below_does_not(string deviceName)
    {
        var device = Device.Parse(deviceName);
        foreach (var (norm, factor) in ((double, double)[])[(10, 0.2), (1, 1)])
        {
            var p = Tensor.Zeros([33], device);
            var g = Tensor.Ones([33], device);
            device.Sgd(new SgdStep(1, 0, 0, false, true), p.Storage, g.Storage, g.Storage, Tensor.Full([1], norm, device).Storage, 2);
            // 2 / (10 + 1e-6), the formula's guard against a norm of 0.
            AssertClose([.. Enumerable.Repeat(-factor, 33)], p);
        }
    }

    [Theory]
    [MemberData(nameof(DevicesAndLengths))]
    public void Ema_mixes_the_parameter_in(string deviceName, int length)
    {
        var device = Device.Parse(deviceName);
        var (p, a) = (Values(length, 1), Values(length, 2));
        var average = On(device, a);
        device.Ema(0.75, On(device, p).Storage, average.Storage);

        AssertClose([.. p.Zip(a, (x, y) => 0.75 * y + 0.25 * x)], average);
    }

    [Fact]
    public void Ema_on_the_cpu_keeps_a_constant_exactly_at_decays_near_1()
    {
        // 0.9999 and 0.0001 in float32 do not add up to 1; a mix by two products would drift away.
        Tensor p = Tensor.Full([33], 0.3, Device.Cpu), average = Tensor.Full([33], 0.3, Device.Cpu);
        for (int i = 0; i < 1000; i++)
            Device.Cpu.Ema(0.9999, p.Storage, average.Storage);

        Assert.Equal(p.ToArray(), average.ToArray());
    }

    [Theory]
    [MemberData(nameof(DevicesAndLengths))]
    public void Accumulate_adds_in_place(string deviceName, int length)
    {
        var device = Device.Parse(deviceName);
        var (x, y) = (Values(length, 1), Values(length, 2));
        var sum = On(device, y);
        device.Accumulate(On(device, x).Storage, sum.Storage);

        AssertClose([.. x.Zip(y, (a, b) => a + b)], sum);
    }

    /// <summary>Values in [-2, 2) that float32 holds exactly.</summary>
    private static double[] Values(int length, int seed)
    {
        var random = new Random(seed);
        var values = new double[length];
        for (int i = 0; i < length; i++)
            values[i] = (float)(4 * random.NextDouble() - 2);
        return values;
    }

    private static Tensor On(Backend device, double[] values) => Tensor.From(values, [values.Length], device);

    private static void AssertClose(double[] expected, Tensor actual)
    {
        var values = actual.ToDoubleArray();
        Assert.Equal(expected.Length, values.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.InRange(values[i] - expected[i], -Tolerance * Math.Max(1, Math.Abs(expected[i])), Tolerance * Math.Max(1, Math.Abs(expected[i])));
    }
}
