using RawDiffusion.Backends;
using RawDiffusion.Nn;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests;

/// <summary>Trajectories of parameters under given gradients against torch.optim, and of averages against the plain recurrence.</summary>
public class GoldenOptimizerTests
{
    [Theory]
    [MemberData(nameof(GoldenCase.Cases), "optimizers", MemberType = typeof(GoldenCase))]
    public void Optimizers(string deviceName, int index)
    {
        var golden = GoldenCase.Read("optimizers", index);
        var device = Device.Parse(deviceName);
        var parameter = new Parameter(golden.Tensor("x", device));
        var optimizer = Make(golden, [new NamedParameter("x", parameter)]);
        double[] gradients = golden.Values("gradients"), expected = golden.Values("y");
        for (int step = 0; step < 6; step++)
        {
            optimizer.ZeroGrad();
            (parameter * Tensor.From(gradients.AsSpan(step * 5, 5), [5], device)).Sum().Backward();
            optimizer.Step();
            golden.AssertClose($"after step {step + 1}", parameter.ToDoubleArray(), expected[(step * 5)..(step * 5 + 5)], device, terms: 6);
        }
    }

    [Theory]
    [MemberData(nameof(GoldenCase.Cases), "ema", MemberType = typeof(GoldenCase))]
    public void Averages(string deviceName, int index)
    {
        var golden = GoldenCase.Read("ema", index);
        var device = Device.Parse(deviceName);
        double[] values = golden.Values("x"), expected = golden.Values("y");
        var module = new OneParameter(Tensor.From(values.AsSpan(0, 4), [4], device));
        var ema = new Ema(module, golden.Double("decay"), golden.Bool("warmup"));
        for (int n = 0; n < 7; n++)
        {
            Write(module.Weight, values.AsSpan(4 * (n + 1), 4));
            ema.Update();
            using (ema.Use())
                golden.AssertClose($"update {n + 1}", module.Weight.ToDoubleArray(), expected[(4 * n)..(4 * n + 4)], device, terms: 7);
        }
    }

    private static Optimizer Make(GoldenCase golden, NamedParameter[] parameters)
    {
        double rate = golden.Double("lr"), decay = golden.Double("weight_decay");
        return golden.Text("kind") switch
        {
            "AdamW" => new AdamW(parameters, rate, golden.Double("beta1"), golden.Double("beta2"), golden.Double("eps"), decay),
            "Adam" => new Adam(parameters, rate, golden.Double("beta1"), golden.Double("beta2"), golden.Double("eps"), decay),
            _ => new Sgd(parameters, rate, golden.Double("momentum"), decay, golden.Bool("nesterov")),
        };
    }

    private static void Write(Parameter parameter, ReadOnlySpan<double> values)
    {
        parameter.Device.Upload(values, parameter.Storage);
        parameter.MarkChanged();
    }

    private sealed class OneParameter(Tensor values) : Module
    {
        public Parameter Weight { get; } = new(values);
    }
}
