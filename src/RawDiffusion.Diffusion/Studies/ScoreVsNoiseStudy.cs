using System.Globalization;
using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>Noise, clean sample, v, score, flow velocity and EDM's output: one function, said in six ways.</summary>
public sealed class ScoreVsNoiseStudy : Study
{
    // Noise to signal: what is trained on, and where samplers begin and end.
    private const double LeastNoise = 0.02, MostNoise = 10;

    private static readonly EightGaussians s_data = new();

    private static readonly double s_deviation = Math.Sqrt(EightGaussians.Radius * EightGaussians.Radius / 2 + Math.Pow(EightGaussians.StandardDeviation, 2));

    /// <summary>
    /// Each as it is used in the field: with the process it came with, and the error that is taken for it; and whether it is to be good. The
    /// other two show why: a plain error of the clean sample sees nothing of fine detail, and a score is of all sizes.
    /// </summary>
    private static readonly Way[] s_ways =
    [
        new("preconditioned (EDM)", Parameterisation.Preconditioned, new EdmProcess(), null, true),
        new("noise", Parameterisation.Epsilon, new CosineSchedule(), null, true),
        new("flow velocity", Parameterisation.FlowVelocity, new StraightFlow(), null, true),
        new("v", Parameterisation.Velocity, new CosineSchedule(), null, true),
        new("clean sample", Parameterisation.X0, new CosineSchedule(), null, false),
        // sigma^2 |score error|^2 (Song and Ermon 2019, section 4.2), which is the noise's own.
        new("score (NCSN)", Parameterisation.Score, new VarianceExploding(0.01, 50), ScoreWeight, false),
    ];

    private readonly record struct Way(string Name, Parameterisation Says, ForwardProcess Process, LossWeight? Weight, bool Good);

    public override string Name => "score-vs-noise";

    public override string Lesson =>
        "To predict the noise, the clean sample, v, the score or a flow's velocity is to know the same function; they differ in which errors a plain loss sees.";

    public override void Run(StudyContext context)
    {
        // In a quick run the one that a network finds easiest.
        var ways = s_ways[..context.Count(s_ways.Length, 1)];
        Identities(context);
        Learned(context, ways);
        Weights(context);
        OneNetworkThreeSamplers(context);
    }

    // The score's error is alpha / sigma^2 of the clean sample's; times drawn evenly in ln(sigma / alpha) make up the rest of the weight.
    private static double ScoreWeight(ForwardProcess process, double t) =>
        LossWeights.Simple(process, t) * (process.SigmaDot(t) / process.Sigma(t) - process.AlphaDot(t) / process.Alpha(t)) / Math.Log(MostNoise / LeastNoise);

    /// <summary>A network that says one of them answers in all, and has the same loss in all.</summary>
    private static void Identities(StudyContext context)
    {
        var process = new CosineSchedule();
        // An untrained network, which agrees with no data, in float64: what is shown holds of every function.
        var device = RawDiffusion.Device.Reference;
        var model = new MlpDenoiser(new Generator(1), device);
        var all = Enum.GetValues<Parameterisation>();
        var noise = new Denoiser(model.Forward, process);
        double worstAnswer = 0;
        using var noGrad = new NoGrad();
        foreach (double ratio in new[] { 0.02, 0.1, 1, 10 })
        {
            double t = process.TimeOf(ratio);
            var x = s_data.Sample(64, new Generator(2)).To(device) * process.Alpha(t) + Tensor.Randn(new Generator(3), [64, 2], device) * process.Sigma(t);
            foreach (var from in all)
            {
                // A denoiser that only knows the answer in one way, asked in every other.
                var told = noise.Answer(x, t, from);
                var other = Denoiser.FromFunction((_, _) => told, process, from);
                foreach (var to in all)
                {
                    var expected = noise.Answer(x, t, to);
                    worstAnswer = Math.Max(worstAnswer, RelativeError(other.Answer(x, t, to), expected));
                }
            }
        }
        context.Number("answers: largest relative difference", worstAnswer);
        Same("answers in every parameterisation by way of every other", worstAnswer);

        double[] losses = [.. all.Select(says => Loss(model, process, says))];
        double worstLoss = losses.Max(loss => Math.Abs(loss / losses[0] - 1));
        context.Number("losses: largest relative difference", worstLoss);
        Same("min-SNR loss of the same network seen in every parameterisation", worstLoss);

        // Numbers of criteria have four digits after the point.
        void Same(string what, double difference) => context.Judge(
            $"{what}: largest relative difference", difference.ToString("0.#e-0", CultureInfo.InvariantCulture), "<= 1e-6", difference <= 1e-6);
    }

    /// <summary>The loss of a network that predicts the noise, told in other terms.</summary>
    private static double Loss(MlpDenoiser model, ForwardProcess process, Parameterisation says)
    {
        const int N = 256;
        var device = RawDiffusion.Device.Reference;
        var denoiser = new Denoiser(model.Forward, process, says, s_deviation);
        var generator = new Generator(4);
        var x0 = s_data.Sample(N, generator).To(device);
        var batch = new ContinuousBatch(Network, denoiser, x0, null, TimeSampler.LogSnr(process, LeastNoise, MostNoise), LossWeights.MinSnr(), generator);
        return batch.Loss(batch.Draw(batch.Inputs)).Item();

        Tensor Network(Tensor x, Tensor told, Tensor? labels)
        {
            // Each sample at its own time, so the factors of Denoiser.Answer are columns.
            double[] times = [.. told.ToDoubleArray().Select(step => (step + 1) / 1000)];
            Tensor Column(Func<double, double> value) => Tensor.From([.. times.Select(value)], [N, 1], device);
            var xt = says == Parameterisation.Preconditioned ? x * Column(t => process.Alpha(t) / denoiser.InputScale(t)) : x;
            var eps = model.Forward(xt, told);
            var clean = (xt - eps * Column(process.Sigma)) * Column(t => 1 / process.Alpha(t));
            return clean * Column(t => denoiser.Factors(says, t).OfX0) + eps * Column(t => denoiser.Factors(says, t).OfEpsilon);
        }
    }

    /// <summary>The same network, data and number of steps with each: its score against the exact one, and its samples.</summary>
    private static void Learned(StudyContext context, Way[] ways)
    {
        int count = context.Count(10_000, 2_000);
        double floor = SlicedWasserstein.Floor(s_data, count);
        context.Number("floor of the sliced Wasserstein distance", floor);
        double[] ratios = [.. Enumerable.Range(0, 13).Select(i => LeastNoise * Math.Pow(MostNoise / LeastNoise, i / 12.0))];
        var figure = new Figure { PanelWidth = 480 };
        var axes = figure.AddAxes("error of the learned score");
        (axes.LogX, axes.LogY) = (true, true);
        (axes.XLabel, axes.YLabel) = ("noise / signal", "relative error");
        foreach (var (name, says, process, weight, good) in ways)
        {
            IReadOnlyList<ulong> seeds = good ? context.Seeds : [context.Seeds[0]];
            var errors = new double[ratios.Length];
            double atData = 0, distance = 0;
            foreach (ulong seed in seeds)
            {
                var denoiser = PointTraining.Train(
                    s_data, process, says, seed, context.Count(4000, 2500), context, TimeSampler.LogSnr(process, LeastNoise, MostNoise), weight, s_deviation);
                atData = Math.Max(atData, ScoreError(denoiser, EightGaussians.StandardDeviation, seed, context));
                for (int i = 0; i < ratios.Length; i++)
                    errors[i] += ScoreError(denoiser, ratios[i], seed, context) / seeds.Count;
                using var scope = new MemoryScope();
                var generator = new Generator(seed, 52);
                double[] times = TimeGrid.LogSnr(process, 40, LeastNoise, MostNoise);
                var start = Start(process, times[0], count, generator, context);
                var samples = Sampler.DpmSolver2M(denoiser, start, times);
                distance += SlicedWasserstein.Distance(samples, s_data.Sample(count, generator)) / floor / seeds.Count;
            }
            axes.Plot(ratios, errors, name);
            context.Number(name, new JsonObject
            {
                ["relative score error at the data's noise level, worst seed"] = atData,
                ["distance of samples in floors, mean over seeds"] = distance,
                ["relative score error by noise / signal"] = new JsonArray([.. ratios.Select((r, i) => (JsonNode)new JsonArray(r, errors[i]))]),
            });
            if (!good)
                continue;
            context.AtMost($"{name}: relative error of the score at the data's noise level, worst seed", atData, 0.10);
            context.AtMost($"{name}: distance of samples in floors, DPM-Solver++ 2M at 40 evaluations", distance, 2);
        }
        context.Figure("score-error", figure);
    }

    /// <summary>What noise makes of the data where it hides all but their spread.</summary>
    private static Tensor Start(ForwardProcess process, double t, int count, Generator generator, StudyContext context) =>
        Tensor.Randn(generator, [count, 2], context.Device) * Math.Sqrt(Math.Pow(process.Sigma(t), 2) + Math.Pow(process.Alpha(t) * s_deviation, 2));

    /// <summary>|learned - exact| / |exact| over data with noise: the same for every scale of x.</summary>
    private static double ScoreError(Denoiser denoiser, double ratio, ulong seed, StudyContext context)
    {
        const int N = 4000;
        using var scope = new MemoryScope();
        using var noGrad = new NoGrad();
        var process = denoiser.Process;
        var generator = new Generator(seed, 51);
        double t = process.TimeOf(ratio), alpha = process.Alpha(t), sigma = process.Sigma(t);
        var x = (s_data.Sample(N, generator) * alpha + Tensor.Randn(generator, [N, 2]) * sigma).To(context.Device);
        return RelativeError(denoiser.Score(x, t), s_data.Score(x, alpha, sigma));
    }

    private static double RelativeError(Tensor found, Tensor expected) =>
        Math.Sqrt((found - expected).Square().Sum().Item() / expected.Square().Sum().Item());

    /// <summary>What the plain squared error of each is, as a weight of the clean sample's error.</summary>
    private static void Weights(StudyContext context)
    {
        var figure = new Figure { PanelWidth = 480 };
        var axes = figure.AddAxes("what a plain loss weighs");
        (axes.LogX, axes.LogY) = (true, true);
        (axes.XLabel, axes.YLabel) = ("noise / signal", "weight of |x0 - D|^2");
        double[] ratios = [.. Enumerable.Range(0, 60).Select(i => LeastNoise * Math.Pow(MostNoise / LeastNoise, i / 59.0))];
        // On one process, where they are weights of one and the same error.
        var process = new CosineSchedule();
        foreach (var (name, says, _, _, _) in s_ways)
        {
            var denoiser = Denoiser.FromFunction((x, _) => x, process, says, s_deviation);
            double[] weights = [.. ratios.Select(ratio =>
            {
                double t = process.TimeOf(ratio);
                var (p, q) = denoiser.Factors(says, t);
                return Math.Pow(p - q * process.Alpha(t) / process.Sigma(t), 2);
            })];
            axes.Plot(ratios, weights, name, dashed: says is Parameterisation.FlowVelocity);
        }
        context.Figure("weights", figure);
    }

    /// <summary>A network of DDPM is a network of NCSN and of a score SDE, with time and scale read differently.</summary>
    private static void OneNetworkThreeSamplers(StudyContext context)
    {
        int count = context.Count(10_000, 2_000);
        double floor = SlicedWasserstein.Floor(s_data, count);
        var ddpm = new LinearSchedule();
        var schedule = new DiscreteSchedule(ddpm, device: context.Device);
        // Noise levels of NCSN: alpha is 1 and sigma falls geometrically.
        var ncsn = new VarianceExploding(0.01, 50);
        double[] distances = new double[3];
        string[] names = ["DDPM, 250 steps", "annealed Langevin", "reverse SDE, 250 steps"];
        foreach (ulong seed in context.Seeds)
        {
            var generator = new Generator(seed, 53);
            var model = new MlpDenoiser(generator, context.Device);
            PointTraining.Learn(model, context.Count(4000, 2500), context, () =>
            {
                var x0 = PointTraining.Draw(s_data, generator, context.Device);
                var batch = new NoisedBatch(model.Forward, schedule, x0, null, generator);
                return batch.Loss(batch.Draw(batch.Inputs));
            });
            var noise = new Denoiser(model.Forward, ddpm);
            var score = noise.On(ncsn);
            Func<Tensor>[] samplers =
            [
                () => Sampler.Ddpm(noise, Sampler.Prior(ddpm, [count, 2], generator, context.Device), TimeGrid.Uniform(ddpm, 250), generator),
                () => Langevin(score, count, generator, context),
                () => ReverseSde(score, count, generator, context),
            ];
            var figure = new Figure { PanelWidth = 260, PanelHeight = 260, Title = "one network, trained to predict noise" };
            for (int i = 0; i < samplers.Length; i++)
            {
                context.ThrowIfStopped();
                using var scope = new MemoryScope();
                var samples = samplers[i]();
                distances[i] += SlicedWasserstein.Distance(samples, s_data.Sample(count, generator)) / floor / context.Seeds.Count;
                var axes = figure.AddAxes(names[i]);
                axes.EqualAspect = true;
                axes.XLimits = axes.YLimits = (-3, 3);
                axes.Scatter(samples.Slice(0, 0, Math.Min(2000, count)), radius: 1, alpha: 0.35);
            }
            if (seed == 0)
                context.Figure("one-network", figure);
        }
        for (int i = 0; i < names.Length; i++)
            context.AtMost($"a DDPM network by {names[i]}: distance of samples in floors", distances[i], 2);
    }

    private static Tensor Langevin(Denoiser score, int count, Generator generator, StudyContext context)
    {
        double[] levels = TimeGrid.LogSnr(score.Process, context.Count(20, 14), 0.04, MostNoise)[..^1];
        var start = Start(score.Process, levels[0], count, generator, context);
        var samples = Sampler.AnnealedLangevin(score, start, levels, generator, stepsPerLevel: context.Count(60, 30), stepSize: 4e-4);
        // What is left of the last level's noise (Jolicoeur-Martineau et al. 2021, section 3.1).
        using var noGrad = new NoGrad();
        return score.X0(samples, levels[^1]);
    }

    private static Tensor ReverseSde(Denoiser score, int count, Generator generator, StudyContext context)
    {
        double[] times = TimeGrid.LogSnr(score.Process, 250, LeastNoise, MostNoise);
        var start = Start(score.Process, times[0], count, generator, context);
        return Sampler.PredictorCorrector(score, start, ReverseStep.Between(score.Process, times), generator, corrector: 0);
    }
}
