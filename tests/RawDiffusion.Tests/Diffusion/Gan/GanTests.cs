using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Gan;
using RawDiffusion.Nn;

namespace RawDiffusion.Tests.Diffusion.Gan;

public class GanTests
{
    [Fact]
    public void The_losses_are_those_of_the_sigmoid()
    {
        double[] real = [2.0, -0.5], made = [-1.0, 0.3];
        Tensor Of(double[] logits) => Tensor.From(logits, [2, 1], Device.Reference);
        static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
        double expected = real.Average(x => -Math.Log(Sigmoid(x))) + made.Average(x => -Math.Log(1 - Sigmoid(x)));
        Assert.Equal(expected, GanLoss.Discriminator(Of(real), Of(made)).Item(), 1e-12);
        Assert.Equal(made.Average(x => -Math.Log(Sigmoid(x))), GanLoss.Generator(Of(made)).Item(), 1e-12);
        // Where discriminator and generator are even, D = 1/2: 2 ln 2 (Goodfellow et al. 2014, theorem 1).
        Assert.Equal(2 * Math.Log(2), GanLoss.Discriminator(Of([0, 0]), Of([0, 0])).Item(), 1e-12);
    }

    [Fact]
    public void The_penalty_of_a_linear_discriminator_is_half_the_square_of_its_weights()
    {
        var discriminator = new Linear(3, 1, new Generator(1), device: Device.Reference);
        var x = Tensor.Randn(new Generator(2), [5, 3], Device.Reference).RequireGrad();
        const double Gamma = 7;
        var penalty = GanLoss.GradientPenalty(discriminator.Forward(x), x, Gamma);
        Assert.Equal(0.5 * Gamma * discriminator.Weight.Square().Sum().Item(), penalty.Item(), 1e-12);
        // Its derivative with respect to them is gamma w.
        double[] slope = Autograd.Grad(penalty, [discriminator.Weight])[0]!.ToDoubleArray(), weights = discriminator.Weight.ToDoubleArray();
        for (int i = 0; i < slope.Length; i++)
            Assert.Equal(Gamma * weights[i], slope[i], 1e-12);
    }

    [Fact]
    public void The_penalty_of_convolutions_has_the_derivative_that_differences_give()
    {
        // Float64: differences of 1e-5 leave 1e-10 of error in what is of order 1; the kinks of leaky ReLUs are not met.
        var discriminator = new ImageDiscriminator(new Generator(1), width: 4, device: Device.Reference);
        var x = Tensor.Randn(new Generator(2), [2, 28, 28, 1], Device.Reference);
        double Penalty()
        {
            var leaf = x.Detach().RequireGrad();
            return GanLoss.GradientPenalty(discriminator.Forward(leaf), leaf, 2).Item();
        }
        var at = x.Detach().RequireGrad();
        var weights = new Tensor[] { discriminator.Conv1.Weight, discriminator.Conv2.Weight, discriminator.Conv3.Weight, discriminator.Output.Weight };
        var slopes = Autograd.Grad(GanLoss.GradientPenalty(discriminator.Forward(at), at, 2), weights);
        for (int k = 0; k < weights.Length; k++)
        {
            double[] values = weights[k].ToDoubleArray(), slope = slopes[k]!.ToDoubleArray();
            int i = values.Length / 3;
            const double Step = 1e-5;
            double value = values[i];
            double[] either = [.. new[] { value + Step, value - Step }.Select(changed =>
            {
                values[i] = changed;
                weights[k].CopyFrom(Tensor.From(values, weights[k].Shape, Device.Reference));
                return Penalty();
            })];
            values[i] = value;
            weights[k].CopyFrom(Tensor.From(values, weights[k].Shape, Device.Reference));
            Assert.Equal((either[0] - either[1]) / (2 * Step), slope[i], 1e-6 * Math.Max(1, Math.Abs(slope[i])));
        }
    }

    [Fact]
    public void It_learns_a_Gaussian_that_is_moved_and_stretched()
    {
        // A linear generator can be exact. R1 brings the game to rest (without it such games circle, Mescheder et al. 2018): mean and
        // deviation are met to what 400 steps of batches of 256 leave.
        var data = new GaussianMixture(new GaussianComponent(new Point2(1.5, -1), 0.5, 1));
        var generator = new Generator(3);
        var maker = new GanMlp(generator, 2, 2, layers: 0, device: Device.Cpu);
        var training = new AdversarialTraining(
            maker, new GanMlp(generator, 2, 1, width: 32, layers: 2, device: Device.Cpu),
            new GanSettings { Latents = 2, LearningRate = 1e-2, Penalty = 1, EmaDecay = 0.98 }, new Generator(4));
        var draws = new Generator(5);
        for (int step = 0; step < 400; step++)
            training.Step(data.Sample(256, draws, Device.Cpu));
        training.Average.CopyTo(maker);
        using var noGrad = new NoGrad();
        var samples = maker.Forward(Tensor.Randn(new Generator(6), [4000, 2], Device.Cpu));
        double[] mean = samples.Mean(0).ToDoubleArray(), deviation = samples.Std([0]).ToDoubleArray();
        Assert.Equal(1.5, mean[0], 0.1);
        Assert.Equal(-1, mean[1], 0.1);
        Assert.Equal(0.5, deviation[0], 0.1);
        Assert.Equal(0.5, deviation[1], 0.1);
    }

    [Fact]
    public void A_step_of_the_generator_leaves_the_discriminator_trainable_and_without_its_derivatives()
    {
        var discriminator = new ImageDiscriminator(new Generator(1), width: 4, device: Device.Cpu);
        var generator = new ImageGenerator(new Generator(2), 4, width: 8, device: Device.Cpu);
        Assert.Equal([3, 28, 28, 1], generator.Forward(Tensor.Zeros([3, 4], Device.Cpu)).Shape.ToArray());
        var training = new AdversarialTraining(generator, discriminator, new GanSettings { Latents = 4, PenaltyEvery = 2 }, new Generator(3));
        double[] before = discriminator.Conv1.Weight.ToDoubleArray();
        for (int step = 0; step < 3; step++)
            training.Step(Tensor.Randn(new Generator(4), [2, 28, 28, 1], Device.Cpu));
        Assert.All(discriminator.Parameters(), parameter => Assert.True(parameter.RequiresGrad));
        Assert.NotEqual(before, discriminator.Conv1.Weight.ToDoubleArray());
    }

    [Fact]
    public void Wrong_settings_are_named()
    {
        var layer = new GanMlp(new Generator(1), 2, 2, device: Device.Cpu);
        Assert.Contains("-1", Assert.Throws<ArgumentException>(() => new AdversarialTraining(layer, layer, new GanSettings { Penalty = -1 }, new Generator(1))).Message);
    }
}
