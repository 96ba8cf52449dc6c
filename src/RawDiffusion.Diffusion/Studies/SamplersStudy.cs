using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>Every sampler with the exact denoiser: what is left is the error of the method.</summary>
public sealed class SamplersStudy : Study
{
    private static readonly int[] s_evaluations = [5, 10, 20, 50, 100, 250, 500];

    private static readonly EightGaussians s_data = new();

    // Equal steps of log-SNR suit the deterministic methods; the ratio at which the last of them ends is far below the data's own spread.
    private const double LeastNoise = 0.01;

    public override string Name => "samplers";

    public override string Lesson => "With the exact denoiser every sampler reaches the data; they differ in how often they have to ask.";

    /// <summary>A sampler by its name, given how often it may ask.</summary>
    private static readonly (string Name, double Order, Func<Denoiser, Tensor, int, Generator, Tensor> Run)[] s_samplers =
    [
        ("DDPM", 0, (d, x, n, g) => Sampler.Ddpm(d, x, LogSnr(d, n), g)),
        ("DDIM", 1, (d, x, n, g) => Sampler.Ddim(d, x, LogSnr(d, n), g)),
        ("Heun", 2, (d, x, n, g) => Sampler.Heun(d, x, LogSnr(d, (n + 1) / 2), g)),
        ("DPM-Solver++ 2M", 2, (d, x, n, g) => Sampler.DpmSolver2M(d, x, LogSnr(d, n))),
        ("DPM-Solver++ 2S", 2, (d, x, n, g) => Sampler.DpmSolver2S(d, x, LogSnr(d, (n + 1) / 2), g)),
        ("SDE-DPM-Solver++ 2M", 0, (d, x, n, g) => Sampler.DpmSolverSde2M(d, x, LogSnr(d, n), g)),
        ("Euler-Maruyama", 0, (d, x, n, g) => Sampler.EulerMaruyama(d, x, TimeGrid.Quadratic(d.Process, n), g)),
        ("predictor-corrector", 0, (d, x, n, g) => Sampler.PredictorCorrector(d, x, ReverseStep.Between(d.Process, LogSnr(d, Math.Max(1, n / 2))), g)),
    ];

    public override void Run(StudyContext context)
    {
        int count = context.Count(10_000, 2_000);
        double floor = SlicedWasserstein.Floor(s_data, count);
        context.Number("floor", floor);
        var process = new CosineSchedule();
        var figure = new Figure { PanelWidth = 520 };
        var axes = figure.AddAxes("distance to the data, in floors");
        axes.LogY = true;
        (axes.XLabel, axes.YLabel) = ("log10 of evaluations", "sliced Wasserstein / floor");
        context.Reporter.Begin("samplers", s_samplers.Length * s_evaluations.Length * context.Seeds.Count, unit: "runs");
        int done = 0;
        foreach (var (name, _, run) in s_samplers)
        {
            var ratios = new double[s_evaluations.Length];
            for (int i = 0; i < s_evaluations.Length; i++)
            {
                foreach (ulong seed in context.Seeds)
                {
                    context.ThrowIfStopped();
                    using var scope = new MemoryScope();
                    var generator = new Generator(seed, 77);
                    var samples = run(s_data.Denoiser(process), Sampler.Prior(process, [count, 2], generator), s_evaluations[i], generator);
                    ratios[i] += SlicedWasserstein.Distance(samples, s_data.Sample(count, generator)) / floor / context.Seeds.Count;
                    context.Reporter.Report(++done);
                }
            }
            // There are more samplers than colours.
            axes.Plot([.. s_evaluations.Select(n => Math.Log10(n))], ratios, name, dashed: name == "predictor-corrector");
            context.Number(name, new JsonObject(s_evaluations.Select((n, i) => KeyValuePair.Create(n.ToString(), (JsonNode?)JsonValue.Create(ratios[i])))));
            context.AtMost($"{name}, {s_evaluations[^1]} evaluations: distance in floors", ratios[^1], 1.5);
        }
        context.Reporter.End();
        context.Figure("quality", figure);
        Orders(context, process);
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
        axes.LogY = true;
        (axes.XLabel, axes.YLabel) = ("log10 of steps", "root mean square error");
        foreach (var (name, order, run) in new (string, double, Func<double[], Tensor>)[]
        {
            ("Euler (DDIM)", 1, times => Sampler.Euler(s_data.Denoiser(process), x, times, new Generator(1))),
            ("Heun", 2, times => Sampler.Heun(s_data.Denoiser(process), x, times, new Generator(1))),
            ("DPM-Solver++ 2M", 2, times => Sampler.DpmSolver2M(s_data.Denoiser(process), x, times)),
            ("DPM-Solver++ 2S", 2, times => Sampler.DpmSolver2S(s_data.Denoiser(process), x, times, new Generator(1))),
        })
        {
            double[] errors = [.. steps.Select(n => Math.Sqrt((run(TimeGrid.LogSnr(process, n + 1, 0.2, 8)[..^1]) - exact).Square().Mean().Item()))];
            axes.Plot([.. steps.Select(n => Math.Log10(n))], errors, name);
            context.Near($"{name}: order of convergence", Math.Log2(errors[0] / errors[^1]) / Math.Log2((double)steps[^1] / steps[0]), order, 0.3);
        }
        context.Figure("orders", figure);
    }

    private static double[] LogSnr(Denoiser denoiser, int steps) => TimeGrid.LogSnr(denoiser.Process, steps, LeastNoise);
}
