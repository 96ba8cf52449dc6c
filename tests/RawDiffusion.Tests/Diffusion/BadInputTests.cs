using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Gan;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Tests.Diffusion;

/// <summary>What makes no sense is refused at once, with the value, and not computed with.</summary>
public class BadInputTests
{
    private static readonly CosineSchedule s_process = new();
    private static readonly EightGaussians s_data = new();
    private static readonly Generator s_generator = new(1);

    private static Tensor Start => Tensor.Ones([2, 2]);

    private static Denoiser Exact(ForwardProcess? process = null) => s_data.Denoiser(process ?? s_process);

    private static void Refuses(string expected, Action action)
    {
        var e = Assert.ThrowsAny<ArgumentException>(action);
        Assert.Contains(expected, e.Message);
    }

    [Theory]
    [MemberData(nameof(EverySampler.Names), MemberType = typeof(EverySampler))]
    public void Every_sampler_refuses_times_that_it_cannot_walk(string name)
    {
        var denoiser = Exact();
        Refuses("1.5", () => EverySampler.Run(name, denoiser, Start, [1.5, 0.5, 0]));
        Refuses("0.7", () => EverySampler.Run(name, denoiser, Start, name == "probability-flow" ? [0.5, 0.7, 0] : [0.5, 0.7, 0.6, 0]));
        Refuses("NaN", () => EverySampler.Run(name, denoiser, Start, name == "probability-flow" ? [double.NaN, 0.5, 0] : [1, double.NaN, 0.5, 0]));
        Assert.Equal(0, denoiser.Evaluations);
    }

    [Theory]
    [MemberData(nameof(EverySampler.NamesOnGrids), MemberType = typeof(EverySampler))]
    public void Every_sampler_needs_a_step(string name)
    {
        Refuses("not 1", () => EverySampler.Run(name, Exact(), Start, [1]));
        Refuses("not 0", () => EverySampler.Run(name, Exact(), Start, []));
        Refuses("-0.1", () => EverySampler.Run(name, Exact(), Start, [1, -0.1]));
    }

    [Fact]
    public void A_sampler_that_divides_by_the_signal_does_not_start_without_one()
    {
        double[] times = TimeGrid.Uniform(s_process, 4);
        foreach (string name in new[] { "ddpm", "ddim", "heun", "dpm-solver-2s", "dpm-solver-2s-eta", "euler-maruyama", "predictor", "langevin" })
            Refuses(name is "predictor" ? "0 and" : "time 1", () => EverySampler.Run(name, Exact(new StraightFlow()), Start, times));
        Refuses("time 1", () => Sampler.DpmSolverSde2M(Exact(new StraightFlow()), Start, times, s_generator, eta: 0));
        foreach (string name in new[] { "euler", "dpm-solver-2m", "dpm-solver-sde-2m" })
            Assert.All(EverySampler.Run(name, Exact(new StraightFlow()), Start, times).ToArray(), value => Assert.True(float.IsFinite(value)));
    }

    /// <summary>Where the state is nothing but noise, the noise in it says nothing of the data.</summary>
    [Fact]
    public void A_network_that_says_the_noise_is_not_asked_for_data_where_no_signal_is_left()
    {
        var denoiser = Denoiser.FromFunction((x, _) => x, new StraightFlow(), Parameterisation.Epsilon);
        Refuses("from Epsilon there is no X0 at time 1 of flow", () => denoiser.X0(Start, 1));
        Refuses("there is no X0", () => Sampler.Euler(denoiser, Start, TimeGrid.Uniform(s_process, 4), s_generator));
        Assert.Equal(0, denoiser.Evaluations);
        Assert.Equal(Start.ToArray(), denoiser.Epsilon(Start, 1).ToArray());
    }

    /// <summary>Karras et al. 2022 add noise at the first level too, and with that would leave the process.</summary>
    [Fact]
    public void Churn_does_not_lead_beyond_the_end_of_a_process()
    {
        var denoiser = Exact();
        double[] times = [1, 0.5, 0.1, 0];
        Refuses("S_tmax must leave it out", () => Sampler.Heun(denoiser, Start, times, s_generator, new Sampler.Churn(1)));
        Refuses("S_tmax must leave it out", () => Sampler.Euler(Exact(new StraightFlow()), Start, times, s_generator, new Sampler.Churn(1)));
        Assert.Equal(0, denoiser.Evaluations);
        Sampler.Heun(denoiser, Start, times, s_generator, new Sampler.Churn(1, Largest: 100));
    }

    [Theory]
    [MemberData(nameof(EverySampler.Names), MemberType = typeof(EverySampler))]
    public void Every_sampler_needs_a_sample(string name) =>
        Refuses("[0, 2]", () => EverySampler.Run(name, Exact(), Tensor.Zeros([0, 2]), [1, 0.5, 0.1, 0]));

    [Fact]
    public void Settings_of_samplers_are_checked()
    {
        var denoiser = Exact();
        double[] times = [1, 0.5, 0.1];
        foreach (double eta in new[] { -0.1, 1.1, double.NaN })
        {
            Refuses("eta must be in [0, 1]", () => Sampler.Ddim(denoiser, Start, times, s_generator, eta));
            Refuses("eta must be in [0, 1]", () => Sampler.DpmSolver2S(denoiser, Start, times, s_generator, eta));
            Refuses("eta must be in [0, 1]", () => Sampler.DpmSolverSde2M(denoiser, Start, times, s_generator, eta));
        }
        Refuses("not 0", () => Sampler.Ddpm(denoiser, Start, times, s_generator, clipX0: 0));
        Refuses("NaN", () => Sampler.Ddim(denoiser, Start, times, s_generator, clipX0: double.NaN));
        Refuses("S_churn must be finite and not negative, not -1", () => Sampler.Heun(denoiser, Start, times, s_generator, new Sampler.Churn(-1)));
        Refuses("2, 1", () => Sampler.Euler(denoiser, Start, times, s_generator, new Sampler.Churn(5, 2, 1)));
        Refuses("and -1", () => Sampler.Euler(denoiser, Start, times, s_generator, new Sampler.Churn(5, NoiseScale: -1)));
        Refuses("not 0", () => Sampler.EulerMaruyama(denoiser, Start, times, s_generator, stepSize: 0));
        Refuses("-2", () => Sampler.PredictorCorrector(denoiser, Start, ReverseStep.Between(s_process, times), s_generator, corrector: -2));
        Refuses("not 0", () => Sampler.PredictorCorrector(denoiser, Start, ReverseStep.Between(s_process, times), s_generator, signalToNoise: 0));
        Refuses("at least 1 step", () => Sampler.PredictorCorrector(denoiser, Start, [], s_generator));
        Refuses("those of step 1 are 1 and -0.5", () => Sampler.PredictorCorrector(denoiser, Start, [new(1, 1, 0.1), new(0.5, 1, -0.5)], s_generator));
        Refuses("step 1 is 1 after 0.5", () => Sampler.PredictorCorrector(denoiser, Start, [new(0.5, 1, 0.1), new(1, 1, 0.5)], s_generator));
        Refuses("'0'", () => Sampler.AnnealedLangevin(denoiser, Start, times, s_generator, stepsPerLevel: 0));
        Refuses("not 0", () => Sampler.AnnealedLangevin(denoiser, Start, times, s_generator, stepSize: 0));
        Refuses("none at time 0", () => Sampler.AnnealedLangevin(denoiser, Start, [1, 0.5, 0], s_generator));
        Refuses("at least one noise level", () => Sampler.AnnealedLangevin(denoiser, Start, [], s_generator));
        Assert.Equal(0, denoiser.Evaluations);
    }

    [Fact]
    public void An_adaptive_solver_needs_room_for_an_error_and_a_step()
    {
        Tensor Slope(Tensor y, double t) => y;
        Refuses("0 and 1", () => DormandPrince.Solve(Slope, Start, 0, 1, new OdeTolerance(0, 1)));
        Refuses("NaN", () => DormandPrince.Solve(Slope, Start, 0, 1, new OdeTolerance(1, double.NaN)));
        Refuses("positive tolerances", () => DormandPrince.Solve(Slope, Start, 0, 1, default));
        Refuses("not 0", () => DormandPrince.Solve(Slope, Start, 0, 1, new OdeTolerance(MaxSteps: 0)));
        Refuses("NaN", () => DormandPrince.Solve(Slope, Start, double.NaN, 1, new OdeTolerance()));
        Refuses("from 0.5 to 0.5", () => Sampler.ProbabilityFlow(Exact(), Start, 0.5, 0.5, new OdeTolerance()));
        Refuses("to 0", () => Sampler.ProbabilityFlow(Exact(), Start, 1, 0, new OdeTolerance()));
    }

    [Fact]
    public void Grids_of_no_steps_and_of_ratios_that_do_not_fall_are_refused()
    {
        Refuses("not 0", () => TimeGrid.Uniform(s_process, 0));
        Refuses("not -3", () => TimeGrid.Quadratic(s_process, -3));
        Refuses("not 0", () => TimeGrid.Karras(s_process, 0, 0.01));
        Refuses("rho must be positive, not 0", () => TimeGrid.Karras(s_process, 5, 0.01, rho: 0));
        Refuses("not 0 and", () => TimeGrid.LogSnr(s_process, 5, 0));
        Refuses("not 3 and 2", () => TimeGrid.LogSnr(s_process, 5, 3, 2));
        Refuses("not 2 twice", () => TimeGrid.LogSnr(s_process, 5, 2, 2));
        Refuses("never 1", () => TimeGrid.LogSnr(s_process, 5, 0.01, 1e9));
        Refuses("Infinity", () => TimeGrid.LogSnr(new StraightFlow(), 5, 0.01));
        Refuses("from 0.2 to 0.1", () => new Transition(s_process, 0.1, 0.2));
    }

    /// <summary>Its smallest ratio is that of time 0, which must not come twice.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    public void A_grid_of_a_process_that_begins_with_noise_reaches_time_0_once(int steps)
    {
        var process = new VarianceExploding(0.01, 50);
        foreach (double[] times in new[] { TimeGrid.LogSnr(process, steps, 0.01), TimeGrid.Karras(process, steps, 0.01, 50) })
        {
            Assert.Equal(steps + 1, times.Length);
            Assert.Equal((1.0, 0.0), (times[0], times[^1]));
            Assert.Equal(times, TimeGrid.Check(process, times));
        }
        // Equal steps of the logarithm are equal steps of this process's time.
        Assert.Equal(1 - 1.0 / steps, TimeGrid.LogSnr(process, steps, 0.01)[1], 1e-12);
    }

    [Fact]
    public void A_schedule_needs_steps_that_fall()
    {
        Refuses("not 0", () => new DiscreteSchedule(s_process, 0));
        Refuses("rising is not monotone", () => new DiscreteSchedule(new Rising(), 10));
        Refuses("edm ends at 80", () => new DiscreteSchedule(new EdmProcess(), 10));
        // Its signal does not fall: it is no process of DDPM's kind.
        Refuses("not monotone", () => new DiscreteSchedule(new VarianceExploding(), 10));
        Refuses("'0'", () => new DiscreteSchedule(s_process, 10).DrawSteps(0, s_generator));
        Refuses("betaMax", () => new LinearSchedule(3, 2));
        Refuses("NaN", () => new LinearSchedule(double.NaN, 2));
        Refuses("finalAlpha", () => new CosineSchedule(finalAlpha: 1.5));
        Refuses("Infinity", () => new CosineSchedule(double.PositiveInfinity));
        Refuses("-Infinity", () => new SigmoidSchedule(double.NegativeInfinity));
    }

    [Theory]
    [InlineData(-0.01)]
    [InlineData(1.01)]
    [InlineData(double.NaN)]
    public void A_process_has_no_other_times_than_its_own(double t)
    {
        foreach (var process in new ForwardProcess[] { new LinearSchedule(), s_process, new SigmoidSchedule(), new VarianceExploding(), new SubVariancePreserving(), new StraightFlow() })
        {
            Refuses("which runs from 0 to 1", () => process.Alpha(t));
            Refuses("which runs from 0 to 1", () => process.Sigma(t));
            Refuses("which runs from 0 to 1", () => process.Drift(t));
            Refuses("which runs from 0 to 1", () => process.DiffusionSquared(t));
            Refuses("which runs from 0 to 1", () => s_data.Denoiser(process).X0(Start, t));
            if (process is VariancePreserving preserving)
            {
                Refuses("which runs from 0 to 1", () => preserving.Beta(t));
                Refuses("which runs from 0 to 1", () => preserving.IntegratedBeta(t));
            }
        }
    }

    [Fact]
    public void A_denoiser_is_not_asked_where_there_is_no_noise() => Refuses("there is no noise", () => Exact().Epsilon(Start, 0));

    [Fact]
    public void Times_to_train_at_are_within_the_process_and_have_noise()
    {
        Refuses("cannot be 0", () => TimeSampler.Uniform(s_process, 0));
        Refuses("cannot be 1", () => TimeSampler.Uniform(s_process, 1));
        Refuses("cannot be NaN", () => TimeSampler.Uniform(s_process, double.NaN));
        Refuses("not 0 and", () => TimeSampler.LogSnr(s_process, 0));
        Refuses("not 5 and 3", () => TimeSampler.LogSnr(s_process, 5, 3));
        Refuses("Infinity", () => TimeSampler.LogSnr(new StraightFlow(), 0.01));
        Refuses("'0'", () => TimeSampler.InProportion(s_process, _ => 1, 0.01, cells: 0));
        Refuses("it is -1", () => TimeSampler.InProportion(s_process, _ => -1, 0.01));
        Refuses("'0'", () => TimeSampler.Uniform(s_process, 0.01).Draw(0, s_generator));
        Refuses("0 everywhere", () => TimeSampler.InProportion(s_process, _ => 0, 0.01));
    }

    [Fact]
    public void Objectives_refuse_what_they_are_not_for()
    {
        var schedule = new DiscreteSchedule(s_process, 10);
        foreach (var says in new[] { Parameterisation.Score, Parameterisation.FlowVelocity, Parameterisation.Preconditioned })
            Refuses(says.ToString(), () => new NoisedBatch((x, _, _) => x, schedule, Start, null, s_generator, says));
        Refuses("is Infinity", () => new ContinuousBatch((x, _, _) => x, Exact(), Start, null, TimeSampler.Uniform(s_process, 0.01), (_, _) => double.PositiveInfinity, s_generator));
        Refuses("is -1", () => new ContinuousBatch((x, _, _) => x, Exact(), Start, null, TimeSampler.Uniform(s_process, 0.01), (_, _) => -1, s_generator));
        Refuses("gamma must be positive, not 0", () => LossWeights.MinSnr(0));
        Refuses("not 0 and 1", () => LossWeights.P2(0));
        Refuses("not -1", () => LossWeights.Edm(-1));
        Refuses("[2, 2, 2]", () => ScoreMatching.Implicit(x => x, Tensor.Ones([2, 2, 2])));
        Refuses("[2, 1]", () => ScoreMatching.Implicit(x => x.Sum(1, keepDims: true), Start));
        Refuses("[3, 2]", () => ScoreMatching.Sliced(x => x, Start, Tensor.Ones([3, 2])));
        Refuses("[0, 2]", () => ScoreMatching.Sliced(x => x, Tensor.Zeros([0, 2]), Tensor.Zeros([0, 2])));
    }

    /// <summary>A uniform density has one: its trace is 0.</summary>
    [Fact]
    public void A_score_may_be_the_same_everywhere()
    {
        var score = Tensor.Full([2, 2], 3).RequireGrad();
        Assert.Equal(9, ScoreMatching.Implicit(_ => score, Start).Item(), 1e-6);
        Assert.Equal(9, ScoreMatching.Sliced(_ => score, Start, Tensor.Ones([2, 2])).Item(), 1e-6);
        Assert.Equal(9, ScoreMatching.Implicit(_ => score.Detach(), Start).Item(), 1e-6);
        Assert.Equal(9, ScoreMatching.Sliced(_ => score.Detach(), Start, Tensor.Ones([2, 2])).Item(), 1e-6);
    }

    [Fact]
    public void Networks_refuse_points_and_labels_that_do_not_fit()
    {
        var generator = new Generator(1);
        var network = new MlpDenoiser(generator, Device.Cpu, width: 8, labels: 3);
        var labels = Tensor.From([0, 1], [2], Device.Cpu);
        Refuses("[2, 3]", () => network.Forward(Tensor.Ones([2, 3]), Tensor.Ones([2]), labels));
        Refuses("[1]", () => network.Forward(Start, Tensor.Ones([1]), labels));
        Refuses("labels of 2 points are [2] or [2, K], not [1]", () => network.Forward(Start, Tensor.Ones([2]), Tensor.From([0], [1], Device.Cpu)));
        Refuses("needs labels", () => network.Forward(Start, Tensor.Ones([2])));
        Refuses("by 1.5", () => new LabelTable(3).Drop(new int[2], 1.5, generator));
        Refuses("of 3", () => new LabelTable(3, 2).Drop(new int[3], 0.5, generator));
        Refuses("NaN", () => new GaussianMixture(new GaussianComponent(new Point2(double.NaN, 0), 1, 1)));
        Refuses("component 0 has no width at alpha 1, sigma 0", () => new GaussianMixture(new GaussianComponent(default, 0, 1)).DenoiseTensor(Start, 1, 0));
        Refuses("no slope to penalise", () => GanLoss.GradientPenalty(Start.Sum(1, keepDims: true), Start, 1));
        Refuses("learning rate", () => new AdversarialTraining(
            new GanMlp(generator, 2, 2, 4, 1, Device.Cpu), new GanMlp(generator, 2, 1, 4, 1, Device.Cpu), new GanSettings { Latents = 2, LearningRate = double.NaN }, generator));
    }

    /// <summary>Images have more axes than points, and the same loss.</summary>
    [Fact]
    public void Sliced_score_matching_of_images_is_that_of_their_pixels()
    {
        var x = Tensor.Randn(new Generator(1), [3, 2, 2, 1], Device.Reference);
        var probe = Hutchinson.Probe(Divergence.Rademacher, x.Shape, new Generator(2), Device.Reference);
        double images = ScoreMatching.Sliced(state => state.Square() * -0.5, x, probe).Item();
        double pixels = ScoreMatching.Sliced(state => state.Square() * -0.5, x.Reshape(3, 4), probe.Reshape(3, 4)).Item();
        Assert.Equal(pixels, images, 1e-12);
    }

    [Fact]
    public void Likelihoods_refuse_what_would_be_no_likelihood()
    {
        Refuses("not at 0", () => FlowLikelihood.Evaluate(Exact(), Start, 0, new OdeTolerance()));
        Refuses("not at 1", () => FlowLikelihood.Evaluate(Exact(), Start, 1, new OdeTolerance()));
        Refuses("needs a generator", () => FlowLikelihood.Evaluate(Exact(), Start, 0.01, new OdeTolerance(), Divergence.Rademacher));
        Refuses("[2]", () => FlowLikelihood.Evaluate(Exact(), Tensor.Ones([2]), 0.01, new OdeTolerance()));
        Refuses("not 0.1", () => VariationalBound.Evaluate(Exact(), Start, [1, 0.5, 0.1], s_generator, Decoder.Gaussian));
        Refuses("not at 0.9", () => VariationalBound.Evaluate(Exact(), Start, [0.9, 0.5, 0], s_generator, Decoder.Gaussian));
        Refuses("not at 0.9", () => BoundEstimates.Evaluate(Exact(), Start, [0.9, 0.5, 0], [0, 1], s_generator, Decoder.Gaussian));
        Refuses("[2]", () => VariationalBound.Evaluate(Exact(), Tensor.Ones([2]), [1, 0.5, 0], s_generator, Decoder.Gaussian));
        foreach (var (wrong, values) in new[] { ("is 0.5", new[] { 1, 0.5f }), ("is -1", [-1, 3]), ("is 4", [0, 4]), ("is NaN", [float.NaN, 0]) })
        {
            Refuses(wrong, () => DequantisedBound.Bits(
                y => y.Sum(1), Tensor.From(values, [1, 2]), 4, Dequantisation.Uniform(s_generator), s_generator));
        }
        Refuses("not [1, 1]", () => DequantisedBound.Bits(
            y => y.Sum(1), Start.Slice(0, 0, 1), 4, Dequantisation.Variational(x => new(x.Slice(1, 0, 1), x.Slice(1, 0, 1))), s_generator));
        Refuses("[0, 2]", () => BoundEstimates.Evaluate(Exact(), Tensor.Zeros([0, 2]), [1, 0.5, 0], [], s_generator, Decoder.Gaussian));
        Refuses("[0, 2]", () => DequantisedBound.Bits(y => y.Sum(1), Tensor.Zeros([0, 2]), 4, Dequantisation.Uniform(s_generator), s_generator));
        foreach (var decoder in new[] { Decoder.Gaussian, Decoder.Discretised })
            Refuses("not 0", () => decoder.LogLikelihood(Start, Start, 0));
    }

    [Fact]
    public void Metrics_refuse_settings_without_meaning()
    {
        Refuses("not 0", () => ImageSimilarity.PeakSignalToNoise(Start, Start, range: 0));
        Refuses("-1", () => ImageSimilarity.StructuralSimilarity(Tensor.Ones([1, 11, 11, 1]), Tensor.Ones([1, 11, 11, 1]), range: -1));
        Refuses("not 0", () => ModeCoverage.Measure(Start, [new Point2(0, 0)], 0));
        Refuses("'0'", () => SlicedWasserstein.Distance(Start, Start, projections: 0));
        Refuses("not 3", () => SlicedWasserstein.Distance(Start, Start, order: 3));
    }

    /// <summary>alpha rises halfway.</summary>
    private sealed class Rising : ForwardProcess
    {
        public override string Name => "rising";

        public override double Alpha(double t) => t < 0.5 ? 1 - t : t;

        public override double Sigma(double t) => 1 - Alpha(t);

        public override double Drift(double t) => 0;

        public override double DiffusionSquared(double t) => 0;
    }
}
