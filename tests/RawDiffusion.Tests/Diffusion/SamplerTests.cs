using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Tests.Diffusion;

/// <summary>
/// Samplers against data whose denoiser is known exactly: a Gaussian N(m, s^2) per coordinate, for which
/// E[x_0 | x_t] = m + alpha s^2 / (alpha^2 s^2 + sigma^2) (x_t - alpha m).
/// </summary>
public class SamplerTests
{
    private const double Mean = 1.5, Deviation = 0.4;
    private static readonly LinearSchedule s_process = new();

    private static Denoiser Exact(Parameterisation parameterisation = Parameterisation.X0)
    {
        Tensor X0(Tensor x, double t)
        {
            double alpha = s_process.Alpha(t), sigma = s_process.Sigma(t);
            double gain = alpha * Deviation * Deviation / (alpha * alpha * Deviation * Deviation + sigma * sigma);
            return x * gain + Mean * (1 - gain * alpha);
        }

        Tensor Network(Tensor x, Tensor times)
        {
            double t = (times.ToDoubleArray()[0] + 1) / 1000, alpha = s_process.Alpha(t), sigma = s_process.Sigma(t);
            var x0 = X0(x, t);
            var eps = (x - x0 * alpha) * (1 / sigma);
            return parameterisation switch
            {
                Parameterisation.X0 => x0,
                Parameterisation.Epsilon => eps,
                Parameterisation.Velocity => eps * alpha - x0 * sigma,
                _ => eps * (-1 / sigma),
            };
        }

        return new Denoiser(Network, s_process, parameterisation);
    }

    /// <summary>Otherwise every sample would hold on to the whole network's tape.</summary>
    [Theory]
    [MemberData(nameof(EverySampler.Names), MemberType = typeof(EverySampler))]
    public void Samples_of_a_network_have_no_history(string name)
    {
        var weight = Tensor.Full([1], 0.5, Device.Cpu).RequireGrad();
        var denoiser = new Denoiser((x, _) => x * weight, s_process, Parameterisation.X0);
        Assert.False(EverySampler.Run(name, denoiser, Tensor.Ones([2, 2], Device.Cpu), [0.9, 0.5, 0.1, 0]).RequiresGrad);
    }

    [Theory]
    [InlineData(Parameterisation.Epsilon)]
    [InlineData(Parameterisation.X0)]
    [InlineData(Parameterisation.Velocity)]
    [InlineData(Parameterisation.Score)]
    public void Every_parameterisation_answers_every_question_alike(Parameterisation parameterisation)
    {
        var x = Tensor.Randn(new Generator(1), [5, 2], Device.Reference);
        Denoiser denoiser = Exact(parameterisation), reference = Exact(Parameterisation.X0);
        foreach (double t in new[] { 0.001, 0.1, 0.5, 0.9, 1 })
        {
            // Float64 throughout; 1e-6 leaves room for the division by sigma = 0.01 at the smallest time.
            AssertClose(reference.Epsilon(x, t), denoiser.Epsilon(x, t), 1e-6);
            AssertClose(reference.X0(x, t), denoiser.X0(x, t), 1e-6);
            AssertClose(reference.Score(x, t), denoiser.Score(x, t), 1e-6);
            AssertClose(reference.Velocity(x, t), denoiser.Velocity(x, t), 1e-6);
        }
    }

    [Fact]
    public void The_score_of_a_Gaussian_is_that_of_its_noised_density()
    {
        var x = Tensor.Randn(new Generator(2), [4, 2], Device.Reference);
        const double T = 0.3;
        double alpha = s_process.Alpha(T), variance = alpha * alpha * Deviation * Deviation + Math.Pow(s_process.Sigma(T), 2);
        AssertClose((x - alpha * Mean) * (-1 / variance), Exact().Score(x, T), 1e-10);
    }

    public static TheoryData<string, double> Methods => new() { { "ddpm-small", 0 }, { "ddpm-large", 0 }, { "ddim", 0 }, { "ddim", 0.5 }, { "ddim", 1 } };

    [Theory]
    [MemberData(nameof(Methods))]
    public void With_the_exact_denoiser_the_data_distribution_comes_out(string method, double eta)
    {
        const int N = 20_000;
        var generator = new Generator(7);
        var x = Sampler.Prior(s_process, [N, 1], generator);
        double[] times = TimeGrid.Uniform(s_process, 300);
        var samples = Run(method, eta, x, times, generator);

        double[] values = samples.ToDoubleArray();
        double mean = values.Average(), deviation = Math.Sqrt(values.Average(v => (v - mean) * (v - mean)));
        // Five standard errors of the mean (0.4 / sqrt(N) each), and a discretisation error of a few in a hundred of s.
        Assert.Equal(Mean, mean, 5 * Deviation / Math.Sqrt(N) + 0.01);
        Assert.Equal(Deviation, deviation, 0.02);
    }

    [Fact]
    public void Ddim_with_eta_0_ignores_the_generator_and_ddpm_does_not()
    {
        var x = Tensor.Randn(new Generator(1), [16, 2]);
        double[] times = TimeGrid.Uniform(s_process, 10);
        Assert.Equal(Run("ddim", 0, x, times, new Generator(1)).ToArray(), Run("ddim", 0, x, times, new Generator(2)).ToArray());
        Assert.NotEqual(Run("ddpm-small", 0, x, times, new Generator(1)).ToArray(), Run("ddpm-small", 0, x, times, new Generator(2)).ToArray());
        Assert.Equal(Run("ddpm-small", 0, x, times, new Generator(1)).ToArray(), Run("ddpm-small", 0, x, times, new Generator(1)).ToArray());
    }

    [Fact]
    public void Ddim_with_eta_1_is_the_ancestral_sampler()
    {
        // Same mean, same variance, same noise: equal up to float32 rounding over ten steps.
        var x = Tensor.Randn(new Generator(1), [16, 2], Device.Reference);
        double[] times = TimeGrid.Uniform(s_process, 10);
        AssertClose(Run("ddpm-small", 0, x, times, new Generator(5)), Run("ddim", 1, x, times, new Generator(5)), 1e-9);
    }

    [Fact]
    public void The_last_step_lands_on_the_predicted_clean_sample()
    {
        var denoiser = Exact();
        var seen = new List<(int Step, double Time)>();
        var x = Tensor.Randn(new Generator(1), [4, 2], Device.Reference);
        double[] before = [];
        double[] times = [1, 0.5, 0.1, 0];
        var samples = Sampler.Ddpm(denoiser, x, times, new Generator(2), callback: p =>
        {
            seen.Add((p.Step, p.Time));
            if (p.Step == 2)
                before = p.State.ToDoubleArray();
        });
        Assert.Equal([(1, 0.5), (2, 0.1), (3, 0.0)], seen);
        Assert.Equal(3, denoiser.Evaluations);
        AssertClose(denoiser.X0(Tensor.From(before, x.Shape, Device.Reference), 0.1), samples, 1e-12);
    }

    [Fact]
    public void Clipping_bounds_the_predicted_clean_sample()
    {
        var x = Tensor.Randn(new Generator(1), [100, 2]) * 5;
        var samples = Sampler.Ddpm(Exact(), x, [0.5, 0], new Generator(2), clipX0: 1.25);
        Assert.All(samples.ToArray(), v => Assert.InRange(v, -1.25f, 1.25f));
    }

    /// <summary>The noise of a step is that which joins the state to the limited x_0, not the one that makes up for what was cut off.</summary>
    [Fact]
    public void A_clipped_ddim_step_stays_on_the_line_from_the_state_to_the_clipped_sample()
    {
        const double limit = 1.25, t = 0.5, s = 0.2;
        var x = Tensor.Randn(new Generator(1), [100, 2], Device.Reference) * 5;
        double alphaT = s_process.Alpha(t), sigmaT = s_process.Sigma(t), alphaS = s_process.Alpha(s), sigmaS = s_process.Sigma(s);
        var denoiser = Exact();
        var x0 = denoiser.X0(x, t).Clamp(-limit, limit);
        Assert.Contains(x0.ToDoubleArray(), v => Math.Abs(v) == limit);

        var expected = x0 * alphaS + (x - x0 * alphaT) * (sigmaS / sigmaT);
        // Float64; x_0 is found by dividing by alpha = 0.28.
        AssertClose(expected, Sampler.Ddim(denoiser, x, [t, s], new Generator(2), clipX0: limit), 1e-9);
    }

    [Fact]
    public void A_limit_that_is_never_reached_changes_nothing()
    {
        var x = Tensor.Randn(new Generator(1), [100, 2], Device.Reference);
        var free = Sampler.Ddim(Exact(), x, TimeGrid.Uniform(s_process, 10), new Generator(2), eta: 0.5);
        AssertClose(free, Sampler.Ddim(Exact(), x, TimeGrid.Uniform(s_process, 10), new Generator(2), eta: 0.5, clipX0: 1e6), 1e-9);
    }

    [Fact]
    public void Sampling_in_a_scope_leaves_the_start_and_the_result_alive()
    {
        var x = Tensor.Randn(new Generator(1), [8, 2]);
        float[] start = x.ToArray();
        var samples = Run("ddim", 0, x, TimeGrid.Uniform(s_process, 5), new Generator(1));
        Assert.Equal(start, x.ToArray());
        Assert.All(samples.ToArray(), v => Assert.True(float.IsFinite(v)));
    }

    [Fact]
    public void Wrong_arguments_are_named_with_their_values()
    {
        var x = Tensor.Zeros([1, 2]);
        Assert.Contains("1.5", Assert.Throws<ArgumentOutOfRangeException>(() => Sampler.Ddim(Exact(), x, [1, 0], new Generator(1), eta: 1.5)).Message);
        Assert.Contains("fall", Assert.Throws<ArgumentException>(() => Sampler.Ddpm(Exact(), x, [0, 1], new Generator(1))).Message);
        Assert.Throws<ArgumentException>(() => Sampler.Ddpm(Exact(), x, [1], new Generator(1)));
        Assert.Throws<ArgumentException>(() => Sampler.Ddpm(Exact(), x, [2, 0], new Generator(1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => Sampler.Ddpm(Exact(), x, [1, 0], new Generator(1), clipX0: -1));
    }

    private static Tensor Run(string method, double eta, Tensor x, double[] times, Generator generator) => method switch
    {
        "ddpm-small" => Sampler.Ddpm(Exact(), x, times, generator),
        "ddpm-large" => Sampler.Ddpm(Exact(), x, times, generator, ReverseVariance.FixedLarge),
        _ => Sampler.Ddim(Exact(), x, times, generator, eta),
    };

    private static void AssertClose(Tensor expected, Tensor actual, double tolerance)
    {
        double[] e = expected.ToDoubleArray(), a = actual.ToDoubleArray();
        Assert.Equal(expected.Shape, actual.Shape);
        for (int i = 0; i < e.Length; i++)
            Assert.Equal(e[i], a[i], tolerance * Math.Max(1, Math.Abs(e[i])));
    }
}
