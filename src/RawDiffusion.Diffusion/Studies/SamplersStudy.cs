using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>
/// Every sampler with the exact denoiser, where what is left is the error of the method, and with a learned one, on one grid of times for
/// all: DDIM's quadratic one, which is even where the signal is decided and fine near the data.
/// </summary>
public sealed class SamplersStudy : Study
{
    private const int Projections = 300, References = 2;

    /// <summary>The least noise to signal that the network learns about. Its output keeps its scale there and where there is almost no signal.</summary>
    private const double LeastNoise = 0.003;

    private const string Dpm = "DPM-Solver++ 2M", EulerMaruyama = "Euler-Maruyama", Corrector = "predictor-corrector", DdimName = "DDIM";

    // All are near their best at 100; the last is beyond doubt.
    private static readonly int[] s_evaluations = [10, 20, 50, 100, 500];

    private static readonly EightGaussians s_data = new();

    public override string Name => "samplers";

    public override string Lesson =>
        "With the exact denoiser every sampler reaches the data; they differ in how often they have to ask, and in what they make of a network's mistakes.";

    /// <summary>A sampler by its name, given how often it may ask.</summary>
    private static readonly (string Name, Func<Denoiser, Tensor, int, Generator, Tensor> Run)[] s_samplers =
    [
        ("DDPM", (d, x, n, g) => Sampler.Ddpm(d, x, Times(d, n), g)),
        (DdimName, (d, x, n, g) => Sampler.Ddim(d, x, Times(d, n), g)),
        ("Heun", (d, x, n, g) => Sampler.Heun(d, x, Times(d, (n + 1) / 2), g)),
        (Dpm, (d, x, n, g) => Sampler.DpmSolver2M(d, x, Times(d, n))),
        ("DPM-Solver++ 2S", (d, x, n, g) => Sampler.DpmSolver2S(d, x, Times(d, (n + 1) / 2), g)),
        ("SDE-DPM-Solver++ 2M", (d, x, n, g) => Sampler.DpmSolverSde2M(d, x, Times(d, n), g)),
        (EulerMaruyama, (d, x, n, g) => Sampler.EulerMaruyama(d, x, Times(d, n), g)),
        (Corrector, (d, x, n, g) => Sampler.PredictorCorrector(d, x, ReverseStep.Between(d.Process, Times(d, n / 2)), g)),
    ];

    public override void Run(StudyContext context)
    {
        var process = new CosineSchedule();
        int count = context.Count(10_000, 2_000);
        int[] evaluations = s_evaluations[..context.Count(5, 4)];
        double floor = SlicedWasserstein.Floor(s_data, count, Projections, pairs: 20);
        context.Number("floor", floor);
        Denoiser[] exact = [.. context.Seeds.Select(_ => s_data.Denoiser(process))];
        Denoiser[] learned = [.. context.Seeds.Select(seed =>
            PointTraining.Train(
                s_data, process, Parameterisation.Preconditioned, seed, context.Count(6000, 2500), context, TimeSampler.LogSnr(process, LeastNoise),
                dataStandardDeviation: Math.Sqrt(0.5 * EightGaussians.Radius * EightGaussians.Radius + EightGaussians.StandardDeviation * EightGaussians.StandardDeviation)))];
        var figure = new Figure { PanelWidth = 400 };
        var withExact = Measure(context, figure, "exact denoiser", exact, evaluations, count, floor);
        var withLearned = Measure(context, figure, "learned denoiser", learned, evaluations, count, floor);
        context.Figure("quality", figure);

        foreach (var (name, distances) in withExact)
            context.AtMost($"{name}, exact denoiser, {evaluations[^1]} evaluations: distance in floors, mean over seeds", distances[^1], 1.5);
        foreach (var (name, distances) in withLearned)
            context.AtMost($"{name}, learned denoiser, {evaluations[^1]} evaluations: distance in floors, mean over seeds", distances[^1], 2);
        Compare("DPM-Solver++ 2M at 10 evaluations against DDIM at 20, learned denoiser: ratio of distances", At(Dpm, 10), At(DdimName, 20));
        Compare("predictor-corrector against Euler-Maruyama, 50 evaluations each, learned denoiser: ratio of distances", At(Corrector, 50), At(EulerMaruyama, 50));
        Orders(context, process);

        double At(string name, int asked) => withLearned[name][Array.IndexOf(evaluations, asked)];

        void Compare(string what, double one, double other) => context.AtMost(what, one / other, 1);
    }

    /// <summary>The distance to the data in floors by the number of evaluations, means over seeds and fresh data.</summary>
    /// <param name="denoisers">One for each seed.</param>
    private static Dictionary<string, double[]> Measure(StudyContext context, Figure figure, string title, Denoiser[] denoisers, int[] evaluations, int count, double floor)
    {
        var axes = figure.AddAxes(title);
        axes.LogY = true;
        axes.YLimits = (0.5, 100);
        axes.LogX = true;
        (axes.XLabel, axes.YLabel) = ("evaluations", "sliced Wasserstein / floor");
        var all = new Dictionary<string, double[]>();
        context.Reporter.Begin($"samplers, {title}", s_samplers.Length * evaluations.Length * context.Seeds.Count, unit: "runs");
        int done = 0;
        foreach (var (name, run) in s_samplers)
        {
            var distances = all[name] = new double[evaluations.Length];
            for (int i = 0; i < evaluations.Length; i++)
            {
                for (int k = 0; k < denoisers.Length; k++)
                {
                    context.ThrowIfStopped();
                    using var scope = new MemoryScope();
                    var generator = new Generator(context.Seeds[k], 77);
                    var samples = run(denoisers[k], Sampler.Prior(denoisers[k].Process, [count, 2], generator, context.Device), evaluations[i], generator);
                    for (int r = 0; r < References; r++)
                        distances[i] += SlicedWasserstein.Distance(samples, s_data.Sample(count, generator), Projections) / (floor * References * denoisers.Length);
                    context.Reporter.Report(++done);
                }
            }
            // There are more samplers than colours.
            double[] at = [.. evaluations.Select(n => (double)n)];
            axes.Plot(at, distances, name, dashed: name == Corrector);
            context.Numbers($"{name}, {title}", at, distances);
        }
        context.Reporter.End();
        return all;
    }

    /// <summary>The orders of convergence of the deterministic methods, between two noise levels where nothing is singular.</summary>
    private static void Orders(StudyContext context, ForwardProcess process)
    {
        double start = process.TimeOf(8), end = process.TimeOf(0.2);
        var x = Tensor.Randn(new Generator(4), [64, 2], RawDiffusion.Device.Reference) * (8 * process.Alpha(start));
        var exact = Sampler.ProbabilityFlow(s_data.Denoiser(process), x, start, end, new OdeTolerance(1e-10, 1e-10), denoise: false);
        int[] steps = [80, 160, 320, 640];
        var figure = new Figure();
        var axes = figure.AddAxes("error of the flow");
        (axes.LogX, axes.LogY) = (true, true);
        (axes.XLabel, axes.YLabel) = ("steps", "root mean square error");
        foreach (var (name, order, run) in new (string, double, Func<double[], Tensor>)[]
        {
            ("Euler (DDIM)", 1, times => Sampler.Euler(s_data.Denoiser(process), x, times, new Generator(1))),
            ("Heun", 2, times => Sampler.Heun(s_data.Denoiser(process), x, times, new Generator(1))),
            ("DPM-Solver++ 2M", 2, times => Sampler.DpmSolver2M(s_data.Denoiser(process), x, times)),
            ("DPM-Solver++ 2S", 2, times => Sampler.DpmSolver2S(s_data.Denoiser(process), x, times, new Generator(1))),
        })
        {
            double[] errors = [.. steps.Select(n => Math.Sqrt((run(TimeGrid.LogSnr(process, n + 1, 0.2, 8)[..^1]) - exact).Square().Mean().Item()))];
            axes.Plot([.. steps.Select(n => (double)n)], errors, name);
            context.Near($"{name}: order of convergence", Math.Log2(errors[0] / errors[^1]) / Math.Log2((double)steps[^1] / steps[0]), order, 0.3);
        }
        context.Figure("orders", figure);
    }

    private static double[] Times(Denoiser denoiser, int steps) => TimeGrid.Quadratic(denoiser.Process, steps);
}
