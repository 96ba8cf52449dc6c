using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Optim;
using static RawDiffusion.Tests.Diffusion.Samplers.ExactGuidance;

namespace RawDiffusion.Tests.Diffusion.Samplers;

/// <summary>Classifier guidance with the exact classifier of a mixture, whose gradient is known, and with classifiers that are learned.</summary>
public class ClassifierGuidanceTests
{
    private static Tensor Classifier(Tensor x, double t) => Data.ComponentLogits(x, Process.Alpha(t), Process.Sigma(t));

    private static Tensor Labels(int mode, int count = Points, RawDiffusion.Backends.Backend? device = null) =>
        Tensor.From([.. Enumerable.Repeat(mode, count)], [count], device ?? Device.Reference);

    /// <summary>Bayes: the score of p(x | y) is that of p(x) and the gradient of ln p(y | x). In float64, so 1e-6 is generous.</summary>
    [Fact]
    public void With_scale_1_the_unconditional_denoiser_becomes_the_conditional_one()
    {
        foreach (double t in Times)
        {
            var x = Noised(t);
            var guided = Guidance.ByClassifier(Unconditional, Classifier, Labels(3), scale: 1);
            Assert.InRange(Distance(Of(3).Epsilon(x, t), guided.Epsilon(x, t)), 0, 1e-6);
            Assert.InRange(Distance(Of(3).X0(x, t), guided.X0(x, t)), 0, 1e-6);
        }
    }

    /// <summary>1e-6 of the largest value: the central differences lose about half of float64's digits.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(0.5)]
    [InlineData(4)]
    public void With_a_scale_the_score_is_that_of_the_density_times_a_power_of_the_probability(double scale)
    {
        foreach (double t in Times)
        {
            var x = Noised(t);
            var expected = Gradient(p => Data.LogDensity(p, Process.Alpha(t), Process.Sigma(t)) * (1 - scale) + scale * LogJoint(p, t, 5), x);
            Assert.InRange(Distance(expected, Guidance.ByClassifier(Unconditional, Classifier, Labels(5), scale).Score(x, t)), 0, 1e-6);
        }
    }

    /// <summary>Samplers run without gradients, and the classifier's are there all the same.</summary>
    [Fact]
    public void Every_kind_of_sampler_lands_in_the_mode_that_was_asked_for()
    {
        const int Count = 200;
        var guided = Guidance.ByClassifier(Unconditional, Classifier, Labels(6, Count, Device.Cpu), scale: 1);
        double[] times = TimeGrid.LogSnr(Process, 60, 0.01);
        var generator = new Generator(2);
        Tensor start = Sampler.Prior(Process, [Count, 2], generator);
        foreach (var samples in new[]
        {
            Sampler.Ddim(guided, start, times, generator),
            Sampler.Ddpm(guided, start, times, generator),
            Sampler.Heun(guided, start, times, generator),
            Sampler.EulerMaruyama(guided, start, TimeGrid.LogSnr(Process, 200, 0.01), generator),
        })
        {
            Assert.InRange(ModeCoverage.Measure(samples, Data).Share[6], 0.99, 1);
        }
    }

    [Fact]
    public void Outside_of_the_interval_there_is_no_guidance()
    {
        var interval = new GuidanceInterval(Process.NoiseToSignal(0.3), Process.NoiseToSignal(0.5));
        var guided = Guidance.ByClassifier(Unconditional, Classifier, Labels(3), scale: 2, interval);
        var always = Guidance.ByClassifier(Unconditional, Classifier, Labels(3), scale: 2);
        var x = Noised(0.4);
        Assert.Equal(always.Epsilon(x, 0.4).ToDoubleArray(), guided.Epsilon(x, 0.4).ToDoubleArray());
        foreach (double t in new[] { 0.1, 0.3, 0.6 })
            Assert.Equal(Unconditional.Epsilon(x, t).ToDoubleArray(), guided.Epsilon(x, t).ToDoubleArray());
    }

    /// <summary>The probability flow's likelihood differentiates the denoiser, and with it the classifier's gradient, once more.</summary>
    [Fact]
    public void A_guided_denoiser_can_be_differentiated()
    {
        const double T = 0.4, H = 1e-5;
        var guided = Guidance.ByClassifier(Unconditional, Classifier, Labels(3), scale: 1.5);
        Tensor x = Noised(T), v = Tensor.Randn(new Generator(9), x.Shape, Device.Reference), w = Tensor.Randn(new Generator(10), x.Shape, Device.Reference);
        var (_, product) = Autograd.Vjp(state => guided.Epsilon(state, T), x, v);
        double expected = ((guided.Epsilon(x + w * H, T) - guided.Epsilon(x - w * H, T)) * v).Sum().Item() / (2 * H);
        Assert.Equal(expected, (product * w).Sum().Item(), Math.Abs(expected) * 1e-6);
    }

    /// <summary>300 steps of a small network know the modes well enough that 97 of 100 samples come out where they were sent.</summary>
    [Fact]
    public void A_learned_classifier_of_points_guides_as_the_exact_one_does()
    {
        const int Count = 400;
        var generator = new Generator(4);
        var model = new NoisyPointClassifier(generator, EightGaussians.Modes, Device.Cpu);
        var optimizer = new AdamW(model.NamedParameters(), 3e-3);
        var times = TimeSampler.Uniform(Process, 1e-3);
        for (int step = 0; step < 300; step++)
        {
            using var scope = new MemoryScope();
            var x0 = Data.Sample(256, generator, Device.Cpu);
            // The modes are so far apart that each point's nearest is its own.
            var batch = new NoisedClassesBatch(model.Forward, Process, x0, Data.ComponentLogits(x0, 1, 0).ArgMax(1), times, generator);
            optimizer.ZeroGrad();
            batch.Loss(batch.Draw(batch.Inputs)).Backward();
            optimizer.Step();
        }
        var wanted = Tensor.From([.. Enumerable.Range(0, Count).Select(i => i % EightGaussians.Modes)], [Count]);
        var guided = Guidance.ByClassifier(Data.DifferentiableDenoiser(Process), model.Forward, wanted, scale: 1);
        var samples = Sampler.Ddim(guided, Sampler.Prior(Process, [Count, 2], generator), TimeGrid.LogSnr(Process, 40, 0.01), generator);
        int[] came = Data.ComponentLogits(samples, 1, 0).ArgMax(1).ToInt32Array();
        Assert.InRange(came.Where((mode, i) => mode == i % EightGaussians.Modes).Count(), 0.97 * Count, Count);
    }

    [Fact]
    public void A_classifier_of_images_sees_the_time_and_tells_where_to_go()
    {
        var model = new NoisyImageClassifier(new Generator(1), Device.Cpu, size: 12, channels: 3, classes: 5, width: 16);
        var x = Tensor.Randn(new Generator(2), [4, 12, 12, 3]);
        Tensor early = model.Forward(x, Tensor.Full([4], 10)), late = model.Forward(x, Tensor.Full([4], 900));
        Assert.Equal(new Shape(4, 5), early.Shape);
        Assert.NotEqual(early.ToArray(), late.ToArray());

        // A small step along the gradient makes each image more like its label: the logarithm rises as the slope says, to first order.
        var denoiser = Denoiser.FromFunction((state, _) => state * 0, Process, Parameterisation.Epsilon);
        var labels = Tensor.From([0, 1, 2, 3], [4]);
        const double T = 0.5;
        var gradient = Guidance.ByClassifier(denoiser, model.Forward, labels, scale: 1).Score(x, T);
        double step = 1e-2 / Math.Sqrt(gradient.Square().Sum().Item());
        double slope = (LogProbability(x + gradient * step) - LogProbability(x - gradient * step)) / (2 * step);
        Assert.Equal(1, slope / gradient.Square().Sum().Item(), 0.01);

        double LogProbability(Tensor images) =>
            (F.LogSoftmax(model.Forward(images, Tensor.Full([4], Process.NetworkTime(T)))) * labels.OneHot(5)).Sum().Item();
    }

    [Fact]
    public void Labels_and_logits_of_another_shape_are_named()
    {
        var x = Noised(0.5);
        Assert.Contains($"needs labels [{Points}], not", Assert.Throws<ArgumentException>(
            () => Guidance.ByClassifier(Unconditional, Classifier, Labels(3, 2), 1).Epsilon(x, 0.5)).Message);
        Assert.Contains($"says logits [{Points}, classes], not", Assert.Throws<ArgumentException>(
            () => Guidance.ByClassifier(Unconditional, (Tensor state, double _) => state.Sum(1), Labels(3), 1).Epsilon(x, 0.5)).Message);
        Assert.Contains("must be a number, not NaN", Assert.Throws<ArgumentException>(() => Guidance.ByClassifier(Unconditional, Classifier, Labels(3), double.NaN)).Message);
    }
}
