using RawDiffusion.Backends;
using RawDiffusion.Nn;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests.Optim;

public class OptimizerTests
{
    public static TheoryData<string> Devices => [.. Device.Names];

    [Theory]
    [InlineData(-0.1)]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void Numbers_that_would_spoil_the_weights_are_refused(double value)
    {
        var model = new Pair(Device.Cpu);
        Assert.Contains("learning rate", Refused(() => new AdamW(model, value)));
        Assert.Contains("epsilon", Refused(() => new AdamW(model, epsilon: value)));
        Assert.Contains("weight decay", Refused(() => new Adam(model, weightDecay: value)));
        Assert.Contains("weight decay", Refused(() => new Sgd(model, 0.1, weightDecay: value)));
        var optimizer = new Sgd(model, 0.1);
        Assert.Contains("learning rate", Refused(() => optimizer.LearningRate = value));
        Assert.Equal(0.1, optimizer.LearningRate);

        static string Refused(Action action) => Assert.Throws<ArgumentOutOfRangeException>(action).Message;
    }

    [Fact]
    public void A_state_of_less_than_no_steps_is_refused_and_changes_nothing()
    {
        var optimizer = new AdamW(new Pair(Device.Cpu));
        var state = optimizer.StateDict().ToDictionary(named => named.Key, named => named.Value.DType == DType.Int32
            ? Tensor.From([-3], Shape.Scalar, Device.Cpu)
            : Tensor.Ones(named.Value.Shape, Device.Cpu));
        Assert.Contains("step is -3", Assert.Throws<ArgumentException>(() => optimizer.LoadStateDict(state)).Message);
        Assert.All(optimizer.StateDict().Where(named => named.Key != "step"), named => Assert.All(named.Value.ToArray(), value => Assert.Equal(0, value)));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void AdamW_moves_every_parameter_by_the_recurrence(string device)
    {
        var model = new Pair(Device.Parse(device));
        var optimizer = new AdamW(model, 0.1, 0.9, 0.99, 1e-8, weightDecay: 0.5);
        double a = 1, m = 0, v = 0;
        for (int t = 1; t <= 5; t++)
        {
            optimizer.ZeroGrad();
            AddGradients(model, t, 0);
            optimizer.Step();
            a -= 0.1 * 0.5 * a;
            m = 0.9 * m + 0.1 * t;
            v = 0.99 * v + 0.01 * t * t;
            a -= 0.1 * (m / (1 - Math.Pow(0.9, t))) / (Math.Sqrt(v / (1 - Math.Pow(0.99, t))) + 1e-8);
        }

        // Five float32 steps of values near 1.
        Assert.All(model.A.ToDoubleArray(), x => Assert.Equal(a, x, 1e-6));
        Assert.Equal(5, optimizer.StepCount);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Adam_puts_its_weight_decay_through_the_averages(string device)
    {
        var model = new Pair(Device.Parse(device));
        var optimizer = new Adam(model, 0.1, weightDecay: 0.5);
        AddGradients(model, 0, 0);
        optimizer.Step();

        // The first step of Adam is the sign of the gradient, here of 0.5 p.
        Assert.All(model.A.ToDoubleArray(), x => Assert.Equal(0.9, x, 1e-6));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Sgd_starts_its_momentum_with_the_first_gradient(string device)
    {
        var model = new Pair(Device.Parse(device));
        var optimizer = new Sgd(model, 0.5, momentum: 0.5);
        AddGradients(model, 1, 1);
        optimizer.Step();
        Assert.All(model.A.ToArray(), x => Assert.Equal(0.5f, x));
        optimizer.Step();
        Assert.All(model.A.ToArray(), x => Assert.Equal(-0.25f, x));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void A_parameter_without_a_gradient_counts_as_zero_whatever_its_memory_holds(string device)
    {
        var model = new Pair(Device.Parse(device));
        var optimizer = new Sgd(model, 1);
        AddGradients(model, 1, 1);
        optimizer.Step();
        optimizer.ZeroGrad();
        Assert.Null(model.A.Grad);
        model.A.AccumulateGrad(Tensor.Ones(model.A.Shape, model.A.Device));
        optimizer.Step();

        Assert.All(model.A.ToArray(), x => Assert.Equal(-1f, x));
        Assert.All(model.B.ToArray(), x => Assert.Equal(1f, x));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Gradients_of_several_backward_passes_add_up(string device)
    {
        var model = new Pair(Device.Parse(device));
        var optimizer = new Sgd(model, 0.25);
        AddGradients(model, 1, 0);
        AddGradients(model, 1, 0);
        optimizer.Step();

        Assert.All(model.A.ToArray(), x => Assert.Equal(0.5f, x));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void A_recorded_gradient_is_used_as_well(string device)
    {
        var model = new Pair(Device.Parse(device));
        var optimizer = new Sgd(model, 1);
        var loss = model.A * model.A;
        loss.Backward(Tensor.Full(model.A.Shape, 0.25, model.A.Device), createGraph: true);
        optimizer.Step();

        // d(a^2)/da / 4 at a = 1.
        Assert.All(model.A.ToArray(), x => Assert.Equal(0.5f, x));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Clipping_scales_by_the_norm_of_all_gradients_once(string device)
    {
        var model = new Pair(Device.Parse(device));
        var optimizer = new Sgd(model, 1);
        // 3 values of 4 and 36 of 2: norm sqrt(48 + 144).
        AddGradients(model, 4, 2);
        double norm = Math.Sqrt(192);
        optimizer.ClipGradNorm(norm / 4);
        Assert.Equal(norm, optimizer.LastGradientNorm, 1e-5);
        optimizer.Step();

        Assert.All(model.A.ToArray(), x => Assert.Equal(0f, x, 1e-6f));
        Assert.All(model.B.ToArray(), x => Assert.Equal(1.5f, x, 1e-6f));
        optimizer.Step();
        Assert.All(model.A.ToArray(), x => Assert.Equal(-4f, x, 1e-6f));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Clipping_to_infinity_only_measures(string device)
    {
        var model = new Pair(Device.Parse(device));
        var optimizer = new Sgd(model, 1);
        Assert.Throws<InvalidOperationException>(() => optimizer.LastGradientNorm);
        AddGradients(model, 1, 0);
        optimizer.ClipGradNorm(double.PositiveInfinity);
        optimizer.Step();

        Assert.Equal(Math.Sqrt(3), optimizer.LastGradientNorm, 1e-6);
        Assert.All(model.A.ToArray(), x => Assert.Equal(0f, x));
    }

    [Fact]
    public void A_step_makes_a_pending_backward_pass_an_error()
    {
        var model = new Pair(Device.Cpu);
        var optimizer = new Sgd(model, 1);
        var y = model.A * model.A;
        AddGradients(model, 1, 1);
        optimizer.Step();

        var error = Assert.Throws<InvalidOperationException>(() => y.Backward(Tensor.Ones(y.Shape)));
        Assert.Contains("changed in place", error.Message);
    }

    [Fact]
    public void A_parameter_that_a_later_optimizer_has_taken_is_refused_by_name()
    {
        var model = new Pair(Device.Cpu);
        var first = new Sgd(model, 1);
        _ = new Sgd(model, 1);

        Assert.Contains("'a'", Assert.Throws<InvalidOperationException>(first.Step).Message);
    }

    [Fact]
    public void Frozen_parameters_stay_and_a_module_without_others_is_refused()
    {
        var model = new Pair(Device.Cpu);
        model.A.RequireGrad(false);
        var optimizer = new AdamW(model, 1);
        AddGradients(model, 1, 1);
        optimizer.Step();
        Assert.All(model.A.ToArray(), x => Assert.Equal(1f, x));

        model.RequireGrad(false);
        Assert.Throws<ArgumentException>(() => new AdamW(model));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Training_resumes_with_the_same_bits(string device)
    {
        var (whole, half) = (new Pair(Device.Parse(device)), new Pair(Device.Parse(device)));
        var (optimizer, first) = (new AdamW(whole), new AdamW(half));
        for (int t = 0; t < 6; t++)
            StepWith(whole, optimizer, t);
        for (int t = 0; t < 3; t++)
            StepWith(half, first, t);
        var resumed = new Pair(Device.Parse(device));
        var second = new AdamW(resumed);
        resumed.LoadStateDict(half.StateDict());
        second.LoadStateDict(first.StateDict());
        for (int t = 3; t < 6; t++)
            StepWith(resumed, second, t);

        Assert.Equal(whole.A.ToDoubleArray(), resumed.A.ToDoubleArray());
        Assert.Equal(whole.B.ToDoubleArray(), resumed.B.ToDoubleArray());
        Assert.Equal(["step", "exp_avg.a", "exp_avg.b", "exp_avg_sq.a", "exp_avg_sq.b"], second.StateDict().Keys);
    }

    [Fact]
    public void A_state_of_another_optimizer_is_refused()
    {
        var state = new Sgd(new Pair(Device.Cpu), 1, momentum: 0.9).StateDict();
        var error = Assert.Throws<ArgumentException>(() => new AdamW(new Pair(Device.Cpu)).LoadStateDict(state));

        Assert.Contains("missing (4): exp_avg.a", error.Message);
        Assert.Contains("unexpected (2): momentum_buffer.a", error.Message);
    }

    private static void StepWith(Pair model, Optimizer optimizer, int t)
    {
        optimizer.ZeroGrad();
        AddGradients(model, Math.Sin(t), t);
        optimizer.Step();
    }

    private static void AddGradients(Pair model, double a, double b)
    {
        model.A.AccumulateGrad(Tensor.Full(model.A.Shape, a, model.A.Device));
        model.B.AccumulateGrad(Tensor.Full(model.B.Shape, b, model.B.Device));
    }

    /// <summary>Two parameters whose sizes are no multiple of the arena's alignment.</summary>
    private sealed class Pair(Backend device) : Module
    {
        public Parameter A { get; } = Init.Ones([3], device);

        public Parameter B { get; } = Init.Constant([4, 9], 2, device);
    }
}
