using RawDiffusion.Backends.Cuda;
using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Markov;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Vae;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests.Diffusion;

/// <summary>A denoiser that answers with what is no number is noticed at the step where it does, by every sampler and likelihood.</summary>
public class NotFiniteTests
{
    private static readonly CosineSchedule s_process = new();

    private static readonly double[] s_times = TimeGrid.Uniform(s_process, 10);

    /// <summary>Right down to a time, and then wrong in one number of one sample.</summary>
    private static Denoiser Spoilt(double from, float value)
    {
        var data = new EightGaussians();
        return Denoiser.FromFunction(
            (x, t) =>
            {
                var answer = data.Denoise(x, s_process.Alpha(t), s_process.Sigma(t));
                if (t > from)
                    return answer;
                double[] values = answer.ToDoubleArray();
                values[3] = value;
                return Tensor.From(values, x.Shape, x.Device);
            },
            s_process, Parameterisation.X0);
    }

    private static Tensor Start => Sampler.Prior(s_process, [5, 2], new Generator(2));

    public static TheoryData<string, float> Cases
    {
        get
        {
            var cases = new TheoryData<string, float>();
            foreach (string name in EverySampler.OnGrids.Keys)
            {
                cases.Add(name, float.NaN);
                cases.Add(name, float.PositiveInfinity);
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_sampler_names_the_step_the_time_and_what_was_wrong(string name, float value)
    {
        // Methods with a second evaluation ask at the end of a step, or between, and find it a step earlier; churn asks at more noise than
        // the times say, and may find it a step later.
        bool asksElsewhere = name is "heun" or "euler-churn" || name.StartsWith("dpm-solver-2s", StringComparison.Ordinal);
        var e = Assert.Throws<NotFiniteException>(() => EverySampler.Run(name, Spoilt(0.75, value), Start, s_times));
        Assert.Contains("not finite", e.Message);
        Assert.Contains($"step {e.Step}, at time 0.", e.Message);
        if (asksElsewhere)
        {
            Assert.InRange(e.Step, 3, 5);
            return;
        }
        Assert.Contains("the denoiser's answer", e.Message);
        // 1, 0.9, 0.8, 0.7: the fourth.
        Assert.Equal(4, e.Step);
        Assert.Equal(0.7, e.Time, 1e-12);
    }

    [Fact]
    public void So_do_those_that_choose_their_times()
    {
        var langevin = Assert.Throws<NotFiniteException>(() => EverySampler.Run("langevin", Spoilt(0.75, float.NaN), Start, s_times));
        // Two steps at each level.
        Assert.Equal((7, "the denoiser's answer is not finite"), (langevin.Step, langevin.Message[(langevin.Message.LastIndexOf(": ", StringComparison.Ordinal) + 2)..]));
        var flow = Assert.Throws<NotFiniteException>(() => EverySampler.Run("probability-flow", Spoilt(0.75, float.NaN), Start, s_times));
        Assert.Contains("slope", flow.Message);
        // The step that it was met in begins before and looks ahead.
        Assert.InRange(flow.Time, 0.75, 1);
        var inversion = Assert.Throws<NotFiniteException>(() => EverySampler.Run("inversion", Spoilt(0.75, float.NaN), Start, s_times));
        Assert.Equal(1, inversion.Step);
    }

    [Fact]
    public void A_state_that_is_no_number_to_begin_with_is_not_blamed_on_the_denoiser()
    {
        var x = Tensor.From([1f, float.NaN], [1, 2]);
        Assert.Contains("the state to start from", Assert.Throws<NotFiniteException>(() => EverySampler.Run("ddim", Spoilt(0, 0), x, s_times)).Message);
    }

    /// <summary>A limit of x_0 makes a number of an infinite answer, which is no less wrong.</summary>
    [Fact]
    public void A_limit_does_not_hide_it()
    {
        var e = Assert.Throws<NotFiniteException>(() => EverySampler.Run("ddpm-clipped", Spoilt(0.05, float.NegativeInfinity), Start, [1, 0.5, 0.04, 0]));
        Assert.Equal((3, 0.04), (e.Step, e.Time));
    }

    [Theory]
    [InlineData(Divergence.Exact)]
    [InlineData(Divergence.Rademacher)]
    public void The_likelihood_of_the_flow_names_the_time(Divergence divergence)
    {
        var denoiser = Denoiser.FromFunction((x, t) => t > 0.4 ? x * double.NaN : x, s_process, Parameterisation.X0);
        var e = Assert.Throws<NotFiniteException>(() => FlowLikelihood.Evaluate(
            denoiser, Tensor.Ones([3, 2], Device.Reference), 0.01, new OdeTolerance(1e-3, 1e-3), divergence, new Generator(1)));
        Assert.InRange(e.Time, 0.01, 0.4);
        Assert.Contains("slope", e.Message);
    }

    [Fact]
    public void The_variational_bound_names_the_step_and_the_sample()
    {
        var e = Assert.Throws<NotFiniteException>(() => VariationalBound.Evaluate(
            Spoilt(0.75, float.NaN), Start, s_times, new Generator(1), Decoder.Gaussian));
        Assert.Equal((4, 0.7), (e.Step, Math.Round(e.Time, 12)));
        Assert.Contains("sample 1 is NaN", e.Message);
    }

    [Fact]
    public void The_estimates_of_the_bound_do_too()
    {
        var e = Assert.Throws<NotFiniteException>(() => BoundEstimates.Evaluate(
            Spoilt(0.75, float.NaN), Start, s_times, [0, 1, 2, 4, 4], new Generator(1), Decoder.Gaussian));
        // Of the two samples asked at time 0.6 the second is spoilt.
        Assert.Equal((5, 0.6), (e.Step, Math.Round(e.Time, 12)));
        Assert.Contains("sample 4 is NaN", e.Message);
    }

    /// <summary>A bit is drawn from a probability that is no number as if it were 0.</summary>
    [Fact]
    public void A_chain_of_bits_names_the_step()
    {
        var chain = new BinomialChain(MarkovSchedule.EqualShares(6), Device.Reference);
        var reverse = chain.Reverse(chain.X0Model((x, times) => times.ToDoubleArray()[0] < 500 ? x * double.NaN : x));
        var sampled = Assert.Throws<NotFiniteException>(() => chain.Sample(reverse, [3, 2], new Generator(1)));
        // 1000 t / 6 - 1 is below 500 from step 3 on, the fourth.
        Assert.Equal((4, 3.0), (sampled.Step, sampled.Time));
        Assert.Contains("the denoiser's answer", sampled.Message);
        var bound = Assert.Throws<NotFiniteException>(() => MarkovBound.Evaluate(chain, reverse, Tensor.Ones([3, 2], Device.Reference), new Generator(1)));
        Assert.Equal((4, 3.0), (bound.Step, bound.Time));
        Assert.Contains("sample 0 is NaN", bound.Message);
    }

    [Fact]
    public void A_hierarchy_of_latents_names_the_level()
    {
        var hierarchy = DiffusionHierarchy.Of(Spoilt(0.75, float.NaN), [2], s_times, Decoder.Gaussian, device: Device.Cpu);
        var e = Assert.Throws<ArithmeticException>(() => hierarchy.Bound(Start.To(Device.Cpu), new Generator(1)));
        // z_7 is at time 0.7; what it says of z_6 is wrong.
        Assert.Contains("the divergence of level 6 for sample 1 is NaN", e.Message);
        Assert.Contains("[0, 2]", Assert.Throws<ArgumentException>(() => hierarchy.Bound(Tensor.Zeros([0, 2], Device.Cpu), new Generator(1))).Message);
        Assert.Contains("[0, 2]", Assert.Throws<ArgumentException>(() => hierarchy.ImportanceWeighted(Tensor.Zeros([0, 2], Device.Cpu), 2, new Generator(1))).Message);
    }

    /// <summary>There the sums of many steps are read together; the step is still the right one.</summary>
    [SkippableFact]
    public void On_a_gpu_too()
    {
        TestNvrtc.Require();
        using var device = new CudaBackend(new EmulatedCudaDriver(new EmulatorOptions { Mode = ExecutionMode.Unchecked }));
        var denoiser = Denoiser.FromFunction((x, t) => t < 0.15 ? x * double.NaN : x * 0.5, s_process, Parameterisation.X0);
        var e = Assert.Throws<NotFiniteException>(() => Sampler.Ddim(
            denoiser, Tensor.Ones([4, 2], device), TimeGrid.Uniform(s_process, 50), new Generator(1)));
        // 50 steps: that from 7/50 is the 44th, in the second reading.
        Assert.Equal((44, 0.14), (e.Step, Math.Round(e.Time, 12)));
    }
}
