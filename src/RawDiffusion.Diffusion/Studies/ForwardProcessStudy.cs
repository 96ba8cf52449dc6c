using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>All forward processes side by side: how signal and noise go, and what becomes of the data.</summary>
public sealed class ForwardProcessStudy : Study
{
    private static readonly EightGaussians s_data = new();

    public override string Name => "forward-process";

    public override string Lesson => "Every forward process turns data into noise; at one ratio of noise to signal all of them show the same picture.";

    public override void Run(StudyContext context)
    {
        ForwardProcess[] processes =
            [new LinearSchedule(), new CosineSchedule(), new SigmoidSchedule(), new SubVariancePreserving(), new VarianceExploding(), new EdmProcess(), new StraightFlow()];
        Curves(context, processes);
        Clouds(context, processes);
        int count = context.Count(20_000, 4_000);
        double floor = SlicedWasserstein.Floor(s_data, count);
        // Walking in many small steps, each adding its own noise, ends where the closed form says.
        foreach (var process in processes)
        {
            double worst = 0;
            foreach (ulong seed in context.Seeds)
            {
                context.ThrowIfStopped();
                using var scope = new MemoryScope();
                var generator = new Generator(seed, 21);
                double end = process.TimeOf(1);
                Tensor walked = Walk(process, s_data.Sample(count, generator), end, 200, generator);
                var direct = s_data.Sample(count, generator) * process.Alpha(end) + Tensor.Randn(generator, [count, 2]) * process.Sigma(end);
                worst = Math.Max(worst, SlicedWasserstein.Distance(walked * (1 / process.Alpha(end)), direct * (1 / process.Alpha(end))));
            }
            context.Number($"{process.Name}: walk against closed form", worst);
            // Noise of the size of the data spreads the points, and with them the distance of two samples, by about the square root of two.
            context.AtMost($"{process.Name}: 200 steps against the closed form, worst seed, in floors", worst / floor, 2);
        }
    }

    private static Tensor Walk(ForwardProcess process, Tensor x, double end, int steps, Generator generator)
    {
        // A process that is noisy at time 0 already starts there.
        x = x * process.Alpha(0) + Tensor.Randn(generator, x.Shape) * process.Sigma(0);
        for (int i = 0; i < steps; i++)
        {
            var step = new Transition(process, end * (i + 1) / steps, end * i / steps);
            x = x * step.Ratio + Tensor.Randn(generator, x.Shape) * Math.Sqrt(step.Variance);
        }
        return x;
    }

    private static void Curves(StudyContext context, ForwardProcess[] processes)
    {
        var figure = new Figure();
        Axes signal = figure.AddAxes("signal alpha"), noise = figure.AddAxes("noise sigma"), ratio = figure.AddAxes("log-SNR");
        noise.LogY = true;
        double[] parts = [.. Enumerable.Range(1, 199).Select(i => i / 200.0)];
        foreach (var process in processes)
        {
            double[] times = [.. parts.Select(part => part * process.EndTime)];
            signal.Plot(parts, [.. times.Select(process.Alpha)], process.Name);
            noise.Plot(parts, [.. times.Select(process.Sigma)], process.Name);
            ratio.Plot(parts, [.. times.Select(process.LogSnr)], process.Name);
        }
        foreach (var axes in new[] { signal, noise, ratio })
            axes.XLabel = "t / end";
        context.Figure("processes", figure);
    }

    private static void Clouds(StudyContext context, ForwardProcess[] processes)
    {
        var figure = new Figure { Columns = 4, PanelWidth = 200, PanelHeight = 200 };
        foreach (var process in processes.Where(p => p is LinearSchedule or VarianceExploding or StraightFlow))
        {
            foreach (double ratio in new[] { 0.1, 0.3, 1.0, 3.0 })
            {
                var generator = new Generator(3);
                double t = process.TimeOf(ratio);
                var axes = figure.AddAxes(FormattableString.Invariant($"{process.Name}, ratio {ratio}"));
                axes.EqualAspect = true;
                axes.Scatter((s_data.Sample(1500, generator) * process.Alpha(t) + Tensor.Randn(generator, [1500, 2]) * process.Sigma(t)) * (1 / process.Alpha(t)), radius: 1, alpha: 0.35);
            }
        }
        context.Figure("clouds", figure);
    }
}
