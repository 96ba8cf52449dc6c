using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Tests.Diffusion;

/// <summary>What holds of all forward processes, whatever their noise does.</summary>
public class EveryProcessTests
{
    private static readonly ForwardProcess[] s_processes =
    [
        new LinearSchedule(), new CosineSchedule(), new SigmoidSchedule(), new SigmoidSchedule(0, 3, 0.5), new VarianceExploding(),
        new SubVariancePreserving(), new EdmProcess(), new StraightFlow(), new MonotoneLogSnr().Snapshot(), LearnedScheduleTests.Trained().Snapshot(),
    ];

    public static TheoryData<int> Processes => [.. Enumerable.Range(0, s_processes.Length)];

    /// <summary>Times away from both ends, where some derivatives are infinite.</summary>
    private static IEnumerable<(ForwardProcess Process, double Time)> Times(int process)
    {
        for (double part = 0.05; part < 0.96; part += 0.05)
            yield return (s_processes[process], part * s_processes[process].EndTime);
    }

    // Central differences with a step of 1e-5 of the process are good to some 1e-9 of the third derivatives of these functions.
    [Theory]
    [MemberData(nameof(Processes))]
    public void Derivatives_are_those_of_alpha_and_sigma(int index)
    {
        foreach (var (p, t) in Times(index))
        {
            double h = 1e-5 * p.EndTime;
            double alphaDot = (p.Alpha(t + h) - p.Alpha(t - h)) / (2 * h), sigmaDot = (p.Sigma(t + h) - p.Sigma(t - h)) / (2 * h);
            Assert.Equal(alphaDot, p.AlphaDot(t), 1e-6 * Math.Max(1, Math.Abs(alphaDot)));
            Assert.Equal(sigmaDot, p.SigmaDot(t), 1e-6 * Math.Max(1, Math.Abs(sigmaDot)));
            Assert.Equal(alphaDot / p.Alpha(t), p.Drift(t), 1e-5 * Math.Max(1, Math.Abs(p.Drift(t))));
            double g2 = 2 * p.Sigma(t) * sigmaDot - 2 * p.Drift(t) * p.Sigma(t) * p.Sigma(t);
            Assert.Equal(g2, p.DiffusionSquared(t), 1e-5 * Math.Max(1, g2));
        }
    }

    [Theory]
    [MemberData(nameof(Processes))]
    public void A_ratio_of_noise_to_signal_belongs_to_one_time(int index)
    {
        foreach (var (p, t) in Times(index))
            Assert.Equal(t, p.TimeOf(p.NoiseToSignal(t)), 1e-9 * p.EndTime);
        var process = s_processes[index];
        // Rounding leads to no time beyond the ends.
        Assert.Equal(0, process.TimeOf(process.NoiseToSignal(0)), 1e-9);
        Assert.Equal(process.EndTime, process.TimeOf(process.NoiseToSignal(process.EndTime)), 1e-9 * process.EndTime);
        Assert.Throws<ArgumentOutOfRangeException>(() => s_processes[index].TimeOf(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => s_processes[index].Sigma(s_processes[index].EndTime * 1.01));
        Assert.Throws<ArgumentOutOfRangeException>(() => s_processes[index].Alpha(double.NaN));
    }

    /// <summary>Going from 0 to s and from s to t is going from 0 to t; and the posterior joins with the forward step to the joint distribution.</summary>
    [Theory]
    [MemberData(nameof(Processes))]
    public void Transitions_and_posteriors_agree_with_the_marginals(int index)
    {
        foreach (var (p, t) in Times(index))
        {
            double s = 0.6 * t;
            var step = new Transition(p, t, s);
            Assert.Equal(p.Sigma(t) * p.Sigma(t), step.Ratio * step.Ratio * Math.Pow(p.Sigma(s), 2) + step.Variance, 1e-9 * Math.Pow(p.Sigma(t), 2));
            // E[x_s | x_0] and Var[x_s | x_0], by way of x_t.
            Assert.Equal(p.Alpha(s), step.PosteriorXt * p.Alpha(t) + step.PosteriorX0, 1e-12);
            Assert.Equal(Math.Pow(p.Sigma(s), 2), Math.Pow(step.PosteriorXt * p.Sigma(t), 2) + step.PosteriorVariance, 1e-9 * Math.Pow(p.Sigma(s), 2));
        }
    }

    /// <summary>A network that says the truth in one parameterisation says it in all of them.</summary>
    [Theory]
    [MemberData(nameof(Processes))]
    public void Every_parameterisation_turns_into_every_other(int index)
    {
        var generator = new Generator(3);
        Tensor x0 = Tensor.Randn(generator, [5, 2], Device.Reference), eps = Tensor.Randn(generator, [5, 2], Device.Reference);
        foreach (var (p, t) in Times(index))
        {
            var x = x0 * p.Alpha(t) + eps * p.Sigma(t);
            foreach (var from in Enum.GetValues<Parameterisation>())
            {
                Denoiser denoiser = null!;
                denoiser = Denoiser.FromFunction((_, time) => Truth(from, time), p, from, dataStandardDeviation: 0.7);
                foreach (var to in Enum.GetValues<Parameterisation>())
                {
                    double[] expected = Truth(to, t).ToDoubleArray(), actual = denoiser.Answer(x, t, to).ToDoubleArray();
                    // Float64; the condition of the two equations is at most about sigma / alpha, 1e3 here.
                    double scale = Math.Max(1, expected.Max(Math.Abs));
                    for (int i = 0; i < expected.Length; i++)
                        Assert.Equal(expected[i], actual[i], 1e-6 * scale);
                }

                Tensor Truth(Parameterisation what, double time)
                {
                    var (a, b) = denoiser.Factors(what, time);
                    return x0 * a + eps * b;
                }
            }
        }
    }

    /// <summary>Karras et al. 2022, appendix B.6: with c_in the input, and with c_skip and c_out the target, have unit variance at every noise.</summary>
    [Fact]
    public void Preconditioning_gives_the_network_unit_variance()
    {
        const double deviation = 0.5;
        var denoiser = new Denoiser((x, _) => x, new EdmProcess(), Parameterisation.Preconditioned, deviation);
        foreach (double t in new[] { 0.002, 0.1, 0.5, 3, 80 })
        {
            var (a, b) = denoiser.Factors(Parameterisation.Preconditioned, t);
            Assert.Equal(1, a * a * deviation * deviation + b * b, 1e-12);
            Assert.Equal(1, Math.Pow(denoiser.InputScale(t), 2) * (deviation * deviation + t * t), 1e-12);
        }
    }

    [Fact]
    public void Processes_of_one_noise_to_signal_ratio_have_one_denoiser()
    {
        // x / alpha is all that counts: the same x^ at the same ratio gives the same x_0.
        var data = new EightGaussians();
        var scaled = Tensor.Randn(new Generator(1), [7, 2], Device.Reference) * 2;
        double[] expected = data.Denoise(scaled, 1, 0.8).ToDoubleArray();
        foreach (var p in s_processes)
        {
            double t = p.TimeOf(0.8);
            double[] actual = data.Denoise(scaled * p.Alpha(t), p.Alpha(t), p.Sigma(t)).ToDoubleArray();
            for (int i = 0; i < expected.Length; i++)
                Assert.Equal(expected[i], actual[i], 1e-9);
        }
    }

    /// <summary>The exact denoiser of one process, asked in the scale and time of another, is that one's exact denoiser.</summary>
    [Theory]
    [MemberData(nameof(Processes))]
    public void A_denoiser_of_one_process_answers_for_every_other(int index)
    {
        var data = new EightGaussians();
        var x = Tensor.Randn(new Generator(2), [7, 2], Device.Reference);
        foreach (var other in s_processes)
        {
            var own = data.Denoiser(s_processes[index]);
            var denoiser = own.On(other);
            double t = other.TimeOf(0.8);
            double[] expected = data.Denoiser(other).Score(x, t).ToDoubleArray(), actual = denoiser.Score(x, t).ToDoubleArray();
            // Float64, and times found to their last digits.
            for (int i = 0; i < expected.Length; i++)
                Assert.Equal(expected[i], actual[i], 1e-9 * Math.Max(1, Math.Abs(expected[i])));
            Assert.Equal((1, 1), (own.Evaluations, denoiser.Evaluations));
        }
    }

    [Fact]
    public void Settings_that_make_no_process_are_named()
    {
        Assert.Contains("50", Assert.Throws<ArgumentException>(() => new VarianceExploding(50, 1)).Message);
        Assert.Contains("-1", Assert.Throws<ArgumentException>(() => new EdmProcess(-1)).Message);
        Assert.Contains("tau", Assert.Throws<ArgumentException>(() => new SigmoidSchedule(tau: 0)).Message);
        Assert.Contains("betaMin", Assert.Throws<ArgumentException>(() => new SubVariancePreserving(2, 1)).Message);
    }
}
