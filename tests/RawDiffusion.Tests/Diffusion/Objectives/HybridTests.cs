using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Nn;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests.Diffusion.Objectives;

/// <summary>The hybrid objective on N(0, s^2), where the best variance of every reverse step is known.</summary>
public class HybridTests
{
    private const double Deviation = 0.4;
    private const int Steps = 8;

    private static readonly CosineSchedule s_process = new();
    private static readonly DiscreteSchedule s_schedule = new(s_process, Steps, Device.Reference);

    private static readonly Denoiser s_meaning = new((x, _) => x, s_process, Parameterisation.X0, learnsVariance: true);

    private static double CleanVariance(double t)
    {
        double alpha = s_process.Alpha(t), sigma = s_process.Sigma(t), variance = Deviation * Deviation;
        return variance * sigma * sigma / (alpha * alpha * variance + sigma * sigma);
    }

    private static Tensor Data(int n, Generator generator) => Tensor.Randn(generator, [n, 2], Device.Reference) * Deviation;

    /// <summary>x_0 exactly, and the spread of each step from a table [T, 1].</summary>
    private static ConditionalNetwork Network(Tensor spreads) => (x, times, _) =>
    {
        int n = x.Shape[0];
        double[] steps = times.ToDoubleArray();
        var gains = new double[n];
        var indices = new int[n];
        for (int i = 0; i < n; i++)
        {
            double t = (steps[i] + 1) / 1000;
            gains[i] = s_process.Alpha(t) * CleanVariance(t) / Math.Pow(s_process.Sigma(t), 2);
            indices[i] = (int)Math.Round(t * Steps) - 1;
        }
        var spread = F.Embedding(Tensor.From(indices, [n], x.Device), spreads).BroadcastTo(x.Shape);
        return Tensor.Concat([x * Tensor.From(gains, [n, 1], x.Device), spread], axis: 1);
    };

    private static HybridBatch Batch(ConditionalNetwork network, int n, Generator generator, TimeSampler? times = null, double weight = HybridBatch.DefaultWeight) =>
        new(network, s_meaning, Data(n, generator), null, times ?? TimeSampler.Steps(s_schedule), Steps, Decoder.Gaussian, generator, weight);

    [Fact]
    public void The_learned_variance_becomes_the_best_one()
    {
        const int Updates = 250, Samples = 1024;
        var spreads = new Parameter(Tensor.Zeros([Steps, 1], Device.Reference));
        var optimizer = new Adam([new NamedParameter("spreads", spreads)], 0.1);
        var generator = new Generator(1);
        for (int i = 0; i < Updates; i++)
        {
            using var scope = new MemoryScope();
            optimizer.ZeroGrad();
            optimizer.LearningRate = 0.1 * Schedule.Cosine(i, Updates);
            var batch = Batch(Network(spreads), Samples, generator);
            batch.Loss(batch.Draw(batch.Inputs)).Backward();
            optimizer.Step();
        }
        double[] learned = spreads.ToDoubleArray();
        for (int i = 0; i < Steps; i++)
        {
            double t = s_schedule.Time(i), s = (double)i / Steps;
            var step = new Transition(s_process, t, s);
            double best = step.PosteriorVariance + Math.Pow(step.PosteriorX0, 2) * CleanVariance(t);
            var (low, high) = ReverseVariance.LogBounds(step);
            double found = Math.Exp(low + (learned[i] + 1) / 2 * (high - low));
            // A variance from the last 50 of 250 updates, 128 samples of this step of 2 dimensions in each: sqrt(2 / 12800) = 1.2%, three times.
            Assert.Equal(1, found / best, 0.04);
        }
    }

    [Fact]
    public void The_bound_teaches_the_variance_and_not_the_mean()
    {
        // The outputs themselves are the parameters.
        const int N = 16;
        var outputs = (Tensor.Randn(new Generator(2), [N, 4], Device.Reference) * 0.3).RequireGrad();
        double[][] Gradient(double weight)
        {
            var batch = Batch((_, _, _) => outputs, N, new Generator(3), weight: weight);
            var gradient = Autograd.Grad(batch.Loss(batch.Draw(batch.Inputs)), [outputs])[0]!;
            return [.. gradient.Chunk(2, 1).Select(half => half.ToDoubleArray())];
        }
        double[][] simple = Gradient(0), hybrid = Gradient(1), half = Gradient(0.5);
        Assert.Equal(simple[0], hybrid[0]);
        Assert.All(simple[0], value => Assert.NotEqual(0, value));
        Assert.All(simple[1], value => Assert.Equal(0, value));
        for (int i = 0; i < hybrid[1].Length; i++)
        {
            Assert.NotEqual(0, hybrid[1][i]);
            Assert.Equal(0.5 * hybrid[1][i], half[1][i], 1e-12 * Math.Abs(hybrid[1][i]));
        }
    }

    /// <summary>The mean over steps of what the batch calls the bound is that of <see cref="VariationalBound"/>.</summary>
    [Fact]
    public void Its_terms_add_up_to_the_variational_bound()
    {
        var spreads = Tensor.From(Enumerable.Range(0, Steps).Select(i => 0.3 * i - 1).ToArray(), [Steps, 1], Device.Reference);
        var network = Network(spreads);
        var denoiser = new Denoiser((x, times) => network(x, times, null), s_process, Parameterisation.X0, learnsVariance: true);
        const int N = 40_000;
        var terms = VariationalBound.Evaluate(
            denoiser, Data(N / Steps, new Generator(4)), TimeGrid.Uniform(denoiser.Process, Steps), new Generator(5), Decoder.Gaussian, ReverseVariance.Learned);
        var batch = Batch(network, N, new Generator(6));
        double[] losses = batch.SampleLosses(batch.Draw(batch.Inputs)).Bound.ToDoubleArray();
        double mean = losses.Average(), error = Math.Sqrt(losses.Average(loss => (loss - mean) * (loss - mean)) / N);
        // Nats per dimension, of two.
        double expected = (terms.Total - terms.Prior) / 2, tolerance = 4 * Math.Sqrt(error * error + terms.StandardError * terms.StandardError / 4);
        Assert.InRange(tolerance, 0, 0.1);
        Assert.Equal(expected, mean, tolerance);
    }

    /// <summary>Time 0 of a learned schedule has noise; the last step ends at the data all the same, and is the decoder's.</summary>
    [Fact]
    public void They_do_for_a_process_that_begins_with_noise()
    {
        var process = new MonotoneLogSnr(9, -8, hidden: 4).Snapshot();
        ConditionalNetwork network = (x, times, _) =>
        {
            // The network is told the log-SNR, from 9 to -8 as 0 to 999.
            double[] gains = Array.ConvertAll(times.ToDoubleArray(), told =>
            {
                double alphaBar = 1 / (1 + Math.Exp(17 * told / 999 - 9)), variance = Deviation * Deviation;
                return Math.Sqrt(alphaBar) * variance / (alphaBar * variance + 1 - alphaBar);
            });
            return Tensor.Concat([x * Tensor.From(gains, [gains.Length, 1], x.Device), x * 0 + 1], axis: 1);
        };
        var denoiser = new Denoiser((x, times) => network(x, times, null), process, Parameterisation.X0, learnsVariance: true);
        const int N = 160_000;
        var terms = VariationalBound.Evaluate(
            denoiser, Data(N / Steps, new Generator(4)), TimeGrid.Uniform(denoiser.Process, Steps), new Generator(5), Decoder.Gaussian, ReverseVariance.Learned);
        var times = TimeSampler.Steps(new DiscreteSchedule(process, Steps, Device.Reference));
        var batch = new HybridBatch(network, denoiser, Data(N, new Generator(6)), null, times, Steps, Decoder.Gaussian, new Generator(7));
        double[] losses = batch.SampleLosses(batch.Draw(batch.Inputs)).Bound.ToDoubleArray();
        double mean = losses.Average(), error = Math.Sqrt(losses.Average(loss => (loss - mean) * (loss - mean)) / N);
        double tolerance = 4 * Math.Sqrt(error * error + terms.StandardError * terms.StandardError / 4);
        Assert.InRange(tolerance, 0, 0.1);
        Assert.Equal((terms.Total - terms.Prior) / 2, mean, tolerance);
    }

    [Fact]
    public void The_plain_part_is_the_plain_objective()
    {
        var spreads = Tensor.Zeros([Steps, 1], Device.Reference);
        var hybrid = Batch(Network(spreads), 64, new Generator(7), weight: 0);
        var generator = new Generator(7);
        var plain = new ContinuousBatch(
            (x, t, l) => Network(spreads)(x, t, l).Chunk(2, 1)[0], s_meaning, Data(64, generator), null, TimeSampler.Steps(s_schedule), null, generator);
        // The same draws in the same order.
        Assert.Equal(plain.Loss(plain.Draw(plain.Inputs)).Item(), hybrid.Loss(hybrid.Draw(hybrid.Inputs)).Item(), 1e-12);
    }

    /// <summary>A UNet with twice the channels, on bytes: the bound in bits that it is taught is the one that it is judged by.</summary>
    [Fact]
    public void Images_have_the_bound_of_their_bytes()
    {
        const int N = 8 * Steps;
        var generator = new Generator(8);
        var network = new UNet2D(
            new UNet2DConfig
            {
                InChannels = 1, OutChannels = 2, BlockOutChannels = [8, 8], DownBlockTypes = ["DownBlock2D", "DownBlock2D"],
                UpBlockTypes = ["UpBlock2D", "UpBlock2D"], LayersPerBlock = 1, NormNumGroups = 4, AddAttention = false,
            },
            generator, Device.Cpu);
        var denoiser = new Denoiser(network.Forward, s_process, Parameterisation.Velocity, learnsVariance: true);
        var images = (Tensor.RandInt(generator, 0, 256, [N, 4, 4, 1], Device.Cpu).To(DType.Float32) * (2.0 / 255)) - 1;
        var batch = new HybridBatch(
            network.Forward, denoiser, images, null, TimeSampler.Steps(s_schedule), Steps, Decoder.Discretised, generator);
        var drawn = batch.Draw(batch.Inputs);
        var loss = batch.Loss(drawn);
        loss.Backward();
        // Both output channels learn.
        double[] bias = network.ConvOut.Bias!.Grad!.ToDoubleArray();
        Assert.All(bias, gradient => Assert.NotEqual(0, gradient));

        double[] losses = batch.SampleLosses(drawn).Bound.ToDoubleArray();
        double mean = losses.Average(), error = Math.Sqrt(losses.Average(value => (value - mean) * (value - mean)) / N);
        var terms = VariationalBound.Evaluate(denoiser, images, TimeGrid.Uniform(denoiser.Process, Steps), generator, Decoder.Discretised, ReverseVariance.Learned);
        Assert.Equal((terms.Total - terms.Prior) / 16, mean, 4 * (error + terms.StandardError / 16));
    }

    [Fact]
    public void A_denoiser_that_learns_no_variance_is_named()
    {
        var silent = new Denoiser((x, _) => x, s_process);
        Assert.Contains("variance", Assert.Throws<ArgumentException>(() => new HybridBatch(
            (x, _, _) => x, silent, Data(2, new Generator(1)), null, TimeSampler.Steps(s_schedule), Steps, Decoder.Gaussian, new Generator(1))).Message);
    }
}
