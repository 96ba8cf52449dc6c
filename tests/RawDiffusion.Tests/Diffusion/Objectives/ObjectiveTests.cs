using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Tests.Diffusion.Objectives;

public class ObjectiveTests
{
    private static readonly EightGaussians s_data = new();

    public static TheoryData<Parameterisation> Parameterisations => [.. Enum.GetValues<Parameterisation>()];

    /// <summary>A network that says what belongs to x_0 + error has the loss E[w |error|^2], whatever it says it in.</summary>
    [Theory]
    [MemberData(nameof(Parameterisations))]
    public void The_loss_is_the_weighted_error_of_the_clean_sample(Parameterisation parameterisation)
    {
        const double Error = 0.3;
        var process = new CosineSchedule();
        Denoiser denoiser = Denoiser.FromFunction((x, _) => x, process, parameterisation, dataStandardDeviation: 0.8);
        var x0 = s_data.Sample(256, new Generator(1)).To(Device.Reference);
        ContinuousBatch batch = null!;
        // Inputs and what is drawn from them tell all that a perfect network would know.
        IReadOnlyList<Tensor> inputs = [], drawn = [];
        Tensor Network(Tensor x, Tensor times, Tensor? labels)
        {
            Tensor alpha = Column(inputs[1]), sigma = Column(inputs[2]), p = Column(inputs[4]), q = Column(inputs[5]);
            // eps moves with x_0 so that x_t stays: the output's error is (p - q alpha / sigma) error.
            return drawn[2] + (p - q * alpha / sigma) * Error;
        }
        batch = new ContinuousBatch(Network, denoiser, x0, null, TimeSampler.Uniform(process, 0.05), LossWeights.MinSnr(), new Generator(2));
        inputs = batch.Inputs;
        drawn = batch.Draw(inputs);
        double loss = batch.Loss(drawn).Item();

        // Evenly spread times: a midpoint rule of 256 cells.
        double expected = 0;
        foreach (var (t, density) in TimeSampler.Uniform(process, 0.05).Draw(256, new Generator(2)))
            expected += LossWeights.MinSnr()(process, t) / density * Error * Error / 256;
        Assert.Equal(expected, loss, 1e-9 * expected);

        static Tensor Column(Tensor x) => x.Reshape(x.Count, 1);
    }

    [Fact]
    public void Weights_are_those_of_the_errors_they_are_named_after()
    {
        var process = new CosineSchedule();
        foreach (double t in new[] { 0.1, 0.5, 0.9 })
        {
            double alpha = process.Alpha(t), sigma = process.Sigma(t), snr = alpha * alpha / (sigma * sigma);
            Assert.Equal(snr, LossWeights.Simple(process, t), 1e-9 * snr);
            // v = alpha eps - sigma x_0 changes by -(alpha^2 + sigma^2) / sigma for each unit of x_0.
            Assert.Equal(Math.Pow(1 / sigma, 2), LossWeights.Velocity(process, t), 1e-9 / (sigma * sigma));
            // -dSNR/dt / 2, by differences.
            const double H = 1e-6;
            double slope = (Snr(t + H) - Snr(t - H)) / (2 * H);
            Assert.Equal(-0.5 * slope, LossWeights.Likelihood(process, t), 1e-6 * Math.Abs(slope));
            Assert.Equal(Math.Min(snr, 5), LossWeights.MinSnr()(process, t), 1e-9);
            Assert.Equal(snr / (1 + snr), LossWeights.P2()(process, t), 1e-9);
        }
        var edm = new EdmProcess();
        Assert.Equal((4 + 0.25) / (4 * 0.25), LossWeights.Edm(0.5)(edm, 2), 1e-12);

        double Snr(double t) => Math.Pow(process.Alpha(t) / process.Sigma(t), 2);
    }

    public static TheoryData<int> Samplers => [0, 1, 2];

    /// <summary>The mean of f / density is the integral of f, for every way of drawing.</summary>
    [Theory]
    [MemberData(nameof(Samplers))]
    public void Times_are_drawn_with_the_density_that_is_said(int index)
    {
        var process = new LinearSchedule();
        double first = 0.05;
        var times = index switch
        {
            0 => TimeSampler.Uniform(process, first),
            1 => TimeSampler.LogSnr(process, process.NoiseToSignal(first)),
            _ => TimeSampler.InProportion(process, t => 1 + 5 * (1 - t), first),
        };
        double sum = times.Draw(20_000, new Generator(3)).Average(drawn => drawn.Time * drawn.Time / drawn.Density);
        Assert.Equal((1 - Math.Pow(first, 3)) / 3, sum, 2e-3);
    }

    [Fact]
    public void Drawing_in_proportion_to_the_weight_takes_the_scatter_of_the_weights_away()
    {
        var process = new LinearSchedule();
        double Scatter(TimeSampler times)
        {
            double[] values = [.. times.Draw(5000, new Generator(3)).Select(drawn => LossWeights.Likelihood(process, drawn.Time) / drawn.Density)];
            double mean = values.Average();
            return Math.Sqrt(values.Average(v => (v - mean) * (v - mean))) / mean;
        }
        double plain = Scatter(TimeSampler.Uniform(process, 1e-3)), proportional = Scatter(TimeSampler.InProportion(process, t => LossWeights.Likelihood(process, t), 1e-3));
        Assert.True(plain > 3, $"{plain}");
        // What is left is the table's cells: near the first time the weight changes much within one.
        Assert.True(proportional < 0.2, $"{proportional}");
    }

    /// <summary>s(x) = -a x on data of variance 1 has the loss a^2 D / 2 - a D, whose least value is at the true score, a = 1.</summary>
    [Fact]
    public void Implicit_and_sliced_score_matching_have_their_closed_form()
    {
        const int N = 4000, D = 3;
        var x = Tensor.Randn(new Generator(5), [N, D], Device.Reference);
        double square = x.Square().Sum(1).Mean().Item();
        foreach (double a in new[] { 0.5, 1, 2 })
        {
            double expected = 0.5 * a * a * square - a * D;
            Assert.Equal(expected, ScoreMatching.Implicit(p => p * -a, x).Item(), 1e-9);
            // A linear score has v^T J v = -a |v|^2 = -a D for every sign vector.
            Assert.Equal(expected, ScoreMatching.Sliced(p => p * -a, x, Hutchinson.Probe(Divergence.Rademacher, x.Shape, new Generator(6), Device.Reference)).Item(), 1e-9);
        }
    }

    [Fact]
    public void The_gradient_of_sliced_score_matching_is_that_of_the_exact_trace_on_average()
    {
        var x = Tensor.Randn(new Generator(7), [64, 2], Device.Reference);
        var weight = Tensor.From(new double[] { -0.7, 0.2, 0.1, -1.1 }, [2, 2], Device.Reference).RequireGrad();
        Tensor Score(Tensor p) => p.MatMul(weight).Tanh();
        double[] exact = Autograd.Grad(ScoreMatching.Implicit(Score, x), [weight])[0]!.ToDoubleArray();
        const int Probes = 200;
        double[][] estimates = new double[Probes][];
        for (int i = 0; i < Probes; i++)
        {
            var probe = Hutchinson.Probe(Divergence.Rademacher, x.Shape, new Generator((ulong)i, 8), Device.Reference);
            estimates[i] = Autograd.Grad(ScoreMatching.Sliced(Score, x, probe), [weight])[0]!.ToDoubleArray();
        }
        for (int k = 0; k < 4; k++)
        {
            double mean = estimates.Average(e => e[k]), error = Math.Sqrt(estimates.Average(e => Math.Pow(e[k] - mean, 2)) / Probes);
            Assert.InRange(Math.Abs(mean - exact[k]), 0, 4 * error + 1e-9);
        }
    }

    [Fact]
    public void Impossible_settings_are_named()
    {
        Assert.Contains("-1", Assert.Throws<ArgumentOutOfRangeException>(() => LossWeights.MinSnr(-1)).Message);
        Assert.Contains("first cannot be 0", Assert.Throws<ArgumentException>(() => TimeSampler.Uniform(new LinearSchedule(), 0)).Message);
        Assert.Contains("negative", Assert.Throws<ArgumentException>(() => TimeSampler.InProportion(new LinearSchedule(), _ => -1, 0.1)).Message);
    }
}
