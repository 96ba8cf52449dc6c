using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Editing;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Tests.Diffusion.Editing;

/// <summary>
/// Filling in the second coordinate given the first, where p(x_2 | x_1) is known and so is the denoiser: what is left is the error of the
/// method. Firsts drawn from the data, with seconds drawn from the conditional distribution, are the data again, so the distance to the
/// data is the error.
/// </summary>
public class InpaintingTests
{
    private const int Count = 4000;

    private static readonly LinearSchedule s_process = new();

    private static readonly GaussianMixture s_mixture = new(
        new GaussianComponent(new Point2(-1.5, -1.5), 0.5, 0.5), new GaussianComponent(new Point2(1.5, 1.5), 0.5, 0.5));

    private static Tensor FirstKnown => Tensor.From([1.0, 0], [2]);

    public static TheoryData<string> Methods => ["replacement", "repaint", "guided"];

    [Theory]
    [MemberData(nameof(Methods))]
    public void What_is_known_comes_out_to_the_bit(string method)
    {
        foreach (var process in new ForwardProcess[] { s_process, new VarianceExploding() })
        {
            var known = new KnownPart(s_mixture.Sample(50, new Generator(1)), FirstKnown);
            var generator = new Generator(2);
            var x = Run(method, s_mixture.DifferentiableDenoiser(process), known, Sampler.Prior(process, [50, 2], generator), generator, 10);
            Assert.Equal(known.X.Slice(1, 0, 1).ToArray(), x.Slice(1, 0, 1).ToArray());
            Assert.NotEqual(known.X.Slice(1, 1, 1).ToArray(), x.Slice(1, 1, 1).ToArray());
            Assert.All(x.ToArray(), value => Assert.True(float.IsFinite(value)));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Replacement_errs_RePaint_errs_less_and_the_less_the_more_it_resamples(bool mixture)
    {
        double floor = SlicedWasserstein.Distance(Data(mixture, 11), Data(mixture, 12), projections: 200);
        double replacement = Error(mixture, resamplings: 1), few = Error(mixture, resamplings: 2), many = Error(mixture, resamplings: 15);
        // Measured for the Gaussian and the mixture: 0.102 and 0.145, 0.083 and 0.055, 0.039 and 0.034; the floors are 0.033 and 0.035.
        Assert.True(replacement > 1.15 * few && few > 1.3 * many, $"{replacement}, {few}, {many}");
        Assert.True(many < 1.5 * floor, $"{many} with a floor of {floor}");
    }

    /// <summary>Measured for the Gaussian and the mixture: 0.043 and 0.034, where replacement has 0.10 and 0.14.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Guidance_errs_less_than_replacement_at_as_many_evaluations(bool mixture)
    {
        Tensor data = Data(mixture, 1), x = data;
        var known = new KnownPart(x, FirstKnown);
        double replaced = Error("replacement"), guided = Error("guided");
        Assert.True(guided < 0.7 * replaced, $"{guided} against {replaced}");

        double Error(string method)
        {
            var generator = new Generator(3);
            return SlicedWasserstein.Distance(Run(method, Exact(mixture), known, Sampler.Prior(s_process, x.Shape, generator), generator, 60), data, projections: 200);
        }
    }

    /// <summary>For a linear denoiser x_0 = M x the gradient is -2 M^T mask (known - M x).</summary>
    [Fact]
    public void Guidance_moves_the_clean_sample_by_the_gradient_of_its_error()
    {
        const double t = 0.4, weight = 1.7;
        var generator = new Generator(4);
        Tensor y = Tensor.Randn(generator, [5, 2], Device.Reference), x = Tensor.Randn(generator, [5, 2], Device.Reference), mask = FirstKnown.To(Device.Reference);
        var gain = CorrelatedGaussian.Gain(s_process, t, x);
        var x0 = x.MatMul(gain);
        var expected = x0 + ((y - x0) * mask).MatMul(gain) * (weight * s_process.Alpha(t));
        var denoiser = CorrelatedGaussian.Denoiser(s_process);
        double[] guided = Inpainting.Guide(denoiser, new KnownPart(y, mask), weight).X0(x, t).ToDoubleArray();
        Assert.All(expected.ToDoubleArray().Zip(guided), pair => Assert.Equal(pair.First, pair.Second, 1e-12));
        Assert.Equal(x0.ToDoubleArray(), Inpainting.Guide(denoiser, new KnownPart(y, mask), 0).X0(x, t).ToDoubleArray());
    }

    [Fact]
    public void One_resampling_is_replacement()
    {
        var known = new KnownPart(s_mixture.Sample(20, new Generator(1)), FirstKnown);
        var x = Sampler.Prior(s_process, [20, 2], new Generator(2));
        double[] times = TimeGrid.Uniform(s_process, 12);
        Assert.Equal(
            Inpainting.Replacement(Exact(true), known, x, times, new Generator(3)).ToArray(),
            Inpainting.RePaint(Exact(true), known, x, times, new Generator(3), jumpLength: 4, resamplings: 1).ToArray());
    }

    /// <summary>The walks of the paper's figure 9 and algorithm 1, by hand. A jump up is one draw.</summary>
    [Theory]
    [InlineData(4, 1, 2, new double[] { 4, 3, 4, 3, 2, 3, 2, 1, 2, 1, 0 })]
    [InlineData(5, 2, 2, new double[] { 5, 4, 3, 5, 4, 3, 2, 1, 3, 2, 1, 0 })]
    [InlineData(4, 3, 3, new double[] { 4, 3, 2, 1, 4, 3, 2, 1, 4, 3, 2, 1, 0 })]
    [InlineData(3, 5, 1, new double[] { 3, 2, 1, 0 })]
    [InlineData(3, 2, 2, new double[] { 3, 2, 1, 3, 2, 1, 0 })]
    public void RePaint_goes_back_and_forth_as_in_the_paper(int steps, int jumpLength, int resamplings, double[] expected)
    {
        double[] times = [.. Enumerable.Range(0, steps + 1).Select(i => (double)(steps - i))];
        Assert.Equal(expected, Inpainting.RePaintTimes(times, jumpLength, resamplings));
    }

    /// <summary>n steps, and (r - 1) j more for each of the jumps.</summary>
    [Fact]
    public void Every_step_down_asks_once_and_is_reported_once()
    {
        var known = new KnownPart(s_mixture.Sample(3, new Generator(1)), FirstKnown);
        var denoiser = Exact(true);
        var seen = new List<SamplerProgress>();
        Inpainting.RePaint(denoiser, known, Tensor.Zeros([3, 2]), TimeGrid.Uniform(s_process, 20), new Generator(3), jumpLength: 5, resamplings: 4, callback: seen.Add);
        // Jumps start 1, 6 and 11 steps before the end; from 16 one of 5 steps would lead beyond the start.
        Assert.Equal(20 + 3 * 3 * 5, denoiser.Evaluations);
        Assert.Equal(Enumerable.Range(1, denoiser.Evaluations), seen.Select(at => at.Step));
        Assert.All(seen, at => Assert.Equal(denoiser.Evaluations, at.Steps));
        Assert.Equal(0, seen[^1].Time);
    }

    [Fact]
    public void Guidance_counts_the_evaluations_of_a_denoiser_made_of_others()
    {
        // Guided by a class as well, a step asks two networks.
        var both = Guidance.ClassifierFree(s_mixture.DifferentiableDenoiser(s_process), s_mixture.DifferentiableDenoiser(s_process), 2);
        var x = Tensor.Zeros([3, 2]);
        var guided = Inpainting.Guide(both, new KnownPart(x, FirstKnown));
        guided.X0(x, 0.5);
        Assert.Equal(2, guided.Evaluations);
    }

    [Fact]
    public void Clipping_bounds_what_is_filled_in()
    {
        var known = new KnownPart(Tensor.Full([100, 2], 3), FirstKnown);
        var x = Inpainting.Replacement(Exact(true), known, Tensor.Zeros([100, 2]), TimeGrid.Uniform(s_process, 5), new Generator(1), clipX0: 0.5);
        Assert.All(x.Slice(1, 1, 1).ToArray(), value => Assert.InRange(value, -0.5f, 0.5f));
        Assert.All(x.Slice(1, 0, 1).ToArray(), value => Assert.Equal(3, value));
    }

    [Fact]
    public void Wrong_arguments_are_named_with_their_values()
    {
        var known = new KnownPart(Tensor.Zeros([2, 2]), FirstKnown);
        Assert.Contains("[3, 2] does not fit known samples of shape [2, 2]", Message(() => Inpainting.Replacement(Exact(true), known, Tensor.Zeros([3, 2]), [1, 0], new Generator(1))));
        Assert.Contains("must fall", Message(() => Inpainting.RePaint(Exact(true), known, Tensor.Zeros([2, 2]), [0, 1], new Generator(1))));
        var flow = s_mixture.DifferentiableDenoiser(new StraightFlow());
        Assert.Contains("no signal is left", Message(() => Inpainting.Replacement(flow, known, Tensor.Zeros([2, 2]), [1, 0], new Generator(1))));
        Assert.Contains("is empty", Message(() => Inpainting.RePaintTimes([], 1, 1)));
        Assert.Contains("not 0", Message(() => Inpainting.RePaintTimes([1, 0], 0, 1)));
        Assert.Contains("give at most 2, or more steps", Message(() => Inpainting.RePaintTimes([3, 2, 1, 0], 3, 2)));
        Assert.Contains("not -2 times", Message(() => Inpainting.RePaintTimes([1, 0], 1, -2)));
        Assert.Contains("-1", Message(() => Inpainting.Guide(Exact(true), known, -1)));
        Assert.Contains("NaN", Message(() => Inpainting.Guide(Exact(true), known, double.NaN)));
        Assert.Contains("not -3", Message(() => Inpainting.Replacement(Exact(true), known, Tensor.Zeros([2, 2]), [1, 0], new Generator(1), clipX0: -3)));
    }

    private static string Message(Action action) => Assert.ThrowsAny<ArgumentException>(action).Message;

    private static Denoiser Exact(bool mixture) => mixture ? s_mixture.DifferentiableDenoiser(s_process) : CorrelatedGaussian.Denoiser(s_process);

    private static Tensor Data(bool mixture, ulong seed) =>
        mixture ? s_mixture.Sample(Count, new Generator(seed)) : CorrelatedGaussian.Sample(Count, new Generator(seed));

    private static double Error(bool mixture, int resamplings)
    {
        var data = Data(mixture, 1);
        var generator = new Generator(3);
        var x = Inpainting.RePaint(
            Exact(mixture), new KnownPart(data, FirstKnown), Sampler.Prior(s_process, data.Shape, generator), TimeGrid.Uniform(s_process, 40), generator, jumpLength: 3, resamplings);
        return SlicedWasserstein.Distance(x, data, projections: 200);
    }

    private static Tensor Run(string method, Denoiser denoiser, KnownPart known, Tensor x, Generator generator, int steps)
    {
        double[] times = TimeGrid.Uniform(denoiser.Process, steps);
        return method switch
        {
            "replacement" => Inpainting.Replacement(denoiser, known, x, times, generator),
            "repaint" => Inpainting.RePaint(denoiser, known, x, times, generator, jumpLength: 2, resamplings: 2),
            _ => Inpainting.Guided(denoiser, known, x, times, generator, weight: 2),
        };
    }
}
