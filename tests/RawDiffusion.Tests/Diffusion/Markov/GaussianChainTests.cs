using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Markov;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Tests.Diffusion.Markov;

/// <summary>The Gaussian Markov chain and DDPM are one thing written twice.</summary>
public class GaussianChainTests
{
    private const int Steps = 30;

    private static readonly EightGaussians s_data = new();
    private static readonly CosineSchedule s_process = new();

    private static GaussianChain Chain() => new(MarkovSchedule.Of(new DiscreteSchedule(s_process, Steps, Device.Reference)), Device.Reference);

    private static Tensor Points(int count) => s_data.Sample(count, new Generator(1)).To(Device.Reference);

    [Fact]
    public void Kernels_are_those_of_the_process()
    {
        var chain = Chain();
        Tensor x0 = Points(5), xt = Points(7).Slice(0, 2, 5);
        for (int t = 1; t <= Steps; t++)
        {
            var step = chain.Step(t);
            var transition = new Transition(s_process, (double)t / Steps, (t - 1.0) / Steps);
            Expect(x0 * transition.Ratio, transition.Variance, chain.Forward(x0, step));
            Expect(x0 * transition.AlphaT, transition.SigmaT * transition.SigmaT, chain.Marginal(x0, step));
            Expect(xt * transition.PosteriorXt + x0 * transition.PosteriorX0, transition.PosteriorVariance, chain.Posterior(xt, chain.Known(x0), step));
        }
    }

    // Sums of 30 terms of up to thousands in float64.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_bound_of_the_chain_is_the_variational_bound_of_DDPM(bool small)
    {
        var variance = small ? ReverseVariance.FixedSmall : ReverseVariance.FixedLarge;
        var chain = Chain();
        var denoiser = s_data.Denoiser(s_process);
        var x0 = Points(40);
        // The same generator draws the same noise on both ways.
        var ddpm = VariationalBound.Evaluate(denoiser, x0, TimeGrid.Uniform(s_process, Steps), new Generator(2), Decoder.Gaussian, variance);
        var markov = MarkovBound.Evaluate(chain, chain.Reverse(chain.X0Model(denoiser, variance)), x0, new Generator(2));
        Assert.Equal(ddpm.Prior, markov.Prior, 1e-9);
        Assert.Equal(ddpm.Reconstruction, markov.Reconstruction, 1e-9 * Math.Abs(ddpm.Reconstruction));
        Assert.Equal(ddpm.Steps.Count, markov.Steps.Count);
        for (int i = 0; i < ddpm.Steps.Count; i++)
            Assert.Equal(ddpm.Steps[i], markov.Steps[i], 1e-9 * Math.Max(1, ddpm.Steps[i]));
        for (int i = 0; i < ddpm.PerSample.Count; i++)
            Assert.Equal(ddpm.PerSample[i], markov.PerSample[i], 1e-9 * Math.Max(1, Math.Abs(ddpm.PerSample[i])));
    }

    // Believing nothing or everything about x_0 are the two variances of Ho et al. 2020, section 3.2.
    [Fact]
    public void The_two_variances_are_two_beliefs_about_x0()
    {
        var chain = Chain();
        var x = Points(3);
        foreach (int t in new[] { 2, 11, Steps })
        {
            var transition = new Transition(s_process, (double)t / Steps, (t - 1.0) / Steps);
            StepModel<Normal> Kernel(ReverseVariance variance) => chain.Reverse(chain.X0Model((x, _) => x * 0.5, variance));
            Assert.Equal(transition.PosteriorVariance, Kernel(ReverseVariance.FixedSmall)(x, chain.Step(t)).Variance.Item(), 1e-12);
            Assert.Equal(chain.Schedule.Beta(t), Kernel(ReverseVariance.FixedLarge)(x, chain.Step(t)).Variance.Item(), 1e-12);
        }
    }

    // Ancestral sampling draws the same noise in the same order but for the last step, where DDPM takes the mean.
    [Fact]
    public void Ancestral_sampling_walks_as_DDPM_does()
    {
        var chain = Chain();
        var denoiser = s_data.Denoiser(s_process);
        var states = new List<double[]>();
        chain.Sample(chain.Reverse(chain.X0Model(denoiser)), [6, 2], new Generator(3), (_, x) => states.Add(x.ToDoubleArray()));
        var generator = new Generator(3);
        var expected = new List<double[]>();
        Sampler.Ddpm(
            denoiser, Sampler.Prior(s_process, [6, 2], generator, Device.Reference), TimeGrid.Uniform(s_process, Steps), generator,
            callback: progress => expected.Add(progress.State.ToDoubleArray()));
        Assert.Equal(Steps + 1, states.Count);
        for (int i = 0; i < Steps - 1; i++)
        {
            for (int k = 0; k < 12; k++)
                Assert.Equal(expected[i][k], states[i + 1][k], 1e-9);
        }
    }

    // Data of mean square 1: then the cross-entropy to the stationary distribution is its entropy at every step.
    [Fact]
    public void The_papers_entropies_give_the_bound_of_data_with_unit_variance()
    {
        var chain = Chain();
        var x0 = Tensor.From([1.0, -1, 1, 1, -1, -1], [3, 2], Device.Reference);
        var reverse = chain.Reverse(chain.X0Model((x, _) => x * 0.9));
        var terms = MarkovBound.Evaluate(chain, reverse, x0, new Generator(4), LastStep.AsForward);
        Assert.Equal(terms.Total, -MarkovBound.Entropies(chain, x0, terms).K, 1e-9 * Math.Abs(terms.Total));
    }

    [Fact]
    public void A_chain_can_be_trained_by_its_bound_with_steps_of_each_sample()
    {
        var chain = Chain();
        var scale = Tensor.Full([1], 0.3, Device.Reference).RequireGrad();
        var batch = new MarkovBatch<Normal>(chain, chain.Reverse(chain.X0Model((x, _) => x * scale)), Points(60), new Generator(5));
        // All steps are among the samples, the first with its density too.
        Assert.Equal(Enumerable.Range(1, Steps), batch.Inputs[1].ToInt32Array().Distinct());
        var loss = batch.Loss(batch.Draw(batch.Inputs));
        loss.Backward();
        Assert.True(double.IsFinite(loss.Item()));
        Assert.True(double.IsFinite(scale.Grad!.Item()) && scale.Grad.Item() != 0);
    }

    [Fact]
    public void Wrong_input_is_named()
    {
        var chain = Chain();
        string message = Assert.Throws<ArgumentException>(() => chain.X0Model(s_data.Denoiser(new LinearSchedule()))).Message;
        Assert.Contains(new LinearSchedule().Name, message);
        var model = chain.X0Model(s_data.Denoiser(s_process));
        Assert.Contains("2 steps", Assert.Throws<ArgumentException>(() => model(Points(2), Tensor.From([1, 2], [2], Device.Reference))).Message);
        var wrong = Tensor.From([1, double.NaN], [1, 2], Device.Reference);
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => MarkovBound.Evaluate(chain, chain.Reverse(model), wrong, new Generator(1))).Message);
    }

    private static void Expect(Tensor mean, double variance, Normal actual)
    {
        double[] expected = mean.ToDoubleArray(), means = actual.Mean.ToDoubleArray();
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], means[i], 1e-12);
        Assert.Equal(variance, actual.Variance.Item(), 1e-12);
    }

    /// <summary>Of variances that are equal but for rounding, in float32: what is off in one number would be off in all 784 of them.</summary>
    [Fact]
    public void Divergences_of_equal_normals_are_nothing()
    {
        foreach (double variance in new[] { 1e-4, 0.007, 0.3, 0.99 })
        {
            Normal Of(double v) => new(Tensor.Zeros([1, 784], Device.Cpu), Tensor.Full([1, 784], v, Device.Cpu));
            Assert.Equal(0, Normal.Divergence(Of(variance), Of(variance * (1 + 2e-7))).Item(), 1e-5);
        }
    }
}
