using RawDiffusion.Backends;
using RawDiffusion.Nn;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests.Optim;

public class EmaTests
{
    public static TheoryData<string> Devices => [.. Device.Names];

    [Theory]
    [MemberData(nameof(Devices))]
    public void The_average_follows_the_warm_up_and_then_the_decay(string device)
    {
        var model = new One(Device.Parse(device), 0);
        var ema = new Ema(model, decay: 0.2);
        double average = 0;
        for (int step = 0; step < 10; step++)
        {
            Set(model, step);
            double d = Math.Min(0.2, (1.0 + step) / (10 + step));
            average = d * average + (1 - d) * step;
            Assert.Equal(d, ema.CurrentDecay);
            ema.Update();
        }

        var copy = new One(Device.Cpu, 0);
        ema.CopyTo(copy);
        // Ten float32 mixes of values below 10.
        Assert.All(copy.Weight.ToArray(), x => Assert.Equal(average, x, 1e-5));
    }

    [Fact]
    public void Without_warm_up_the_decay_is_constant() =>
        Assert.Equal(0.999, new Ema(new One(Device.Cpu, 0), 0.999, warmup: false).CurrentDecay);

    [Fact]
    public void It_gives_the_same_averages_with_and_without_an_optimizers_arena()
    {
        var (loose, held) = (new One(Device.Cpu, 1), new One(Device.Cpu, 1));
        var (a, b) = (new Ema(loose, 0.5), new Ema(held, 0.5));
        // The optimizer moves the parameters after the average was made, and leaves out the frozen one.
        held.Bias.RequireGrad(false);
        _ = new Sgd(held, 1);
        Set(loose, 3);
        Set(held, 3);
        a.Update();
        b.Update();
        held.Bias.RequireGrad();
        _ = new Sgd(held, 1);
        a.Update();
        b.Update();

        Assert.Equal(a.StateDict()["ema.weight"].ToArray(), b.StateDict()["ema.weight"].ToArray());
        Assert.Equal(a.StateDict()["ema.bias"].ToArray(), b.StateDict()["ema.bias"].ToArray());
    }

    [Fact]
    public void Using_it_puts_the_averages_into_the_model_and_back()
    {
        var model = new One(Device.Cpu, 1);
        var ema = new Ema(model, 0.5, warmup: false);
        Set(model, 3);
        ema.Update();
        using (ema.Use())
        {
            Assert.All(model.Weight.ToArray(), x => Assert.Equal(2f, x));
            Assert.Throws<InvalidOperationException>(ema.Update);
            Assert.Throws<InvalidOperationException>(() => ema.StateDict());
        }

        Assert.All(model.Weight.ToArray(), x => Assert.Equal(3f, x));
        Assert.All(ema.StateDict()["ema.weight"].ToArray(), x => Assert.Equal(2f, x));
    }

    [Fact]
    public void Its_state_resumes()
    {
        var model = new One(Device.Cpu, 1);
        var ema = new Ema(model);
        ema.Update();
        Set(model, 5);
        ema.Update();
        var resumed = new Ema(new One(Device.Cpu, 0));
        resumed.LoadStateDict(ema.StateDict());

        Assert.Equal(2, resumed.StepCount);
        Assert.Equal(ema.StateDict()["ema.weight"].ToArray(), resumed.StateDict()["ema.weight"].ToArray());
    }

    private static void Set(One model, double value) =>
        model.LoadStateDict(new Dictionary<string, Tensor>
        {
            ["weight"] = Tensor.Full([17], value, model.Weight.Device),
            ["bias"] = Tensor.Full([2], value, model.Weight.Device),
        });

    private sealed class One(Backend device, double value) : Module
    {
        public Parameter Weight { get; } = Init.Constant([17], value, device);

        public Parameter Bias { get; } = Init.Constant([2], value, device);
    }
}
