using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>
/// All forward processes side by side: how signal and noise go, what becomes of the data, the way back where x_0 is known, what is left at the
/// end, and the processes in T steps.
/// </summary>
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
        Equations(context, processes);
        Clouds(context, processes);
        Bridges(context, processes);
        Priors(context, processes);
        Discretisations(context);
        foreach (var process in processes)
            Walks(context, process);
    }

    /// <summary>Walking in many small steps, each adding its own noise, ends where the closed form says.</summary>
    private static void Walks(StudyContext context, ForwardProcess process)
    {
        const int Count = 4000;
        // The distance of two samples scatters by a third of itself from pair to pair: means of a few are compared.
        int draws = context.Count(5, 3);
        double end = process.TimeOf(1), worst = 0;
        foreach (ulong seed in context.Seeds)
        {
            context.ThrowIfStopped();
            var generator = new Generator(seed, 21);
            double walked = 0, floor = 0;
            for (int draw = 0; draw < draws; draw++)
            {
                using var scope = new MemoryScope();
                var expected = Direct(process, end, Count, generator);
                walked += SlicedWasserstein.Distance(Walk(process, s_data.Sample(Count, generator), end, 200, generator), expected);
                floor += SlicedWasserstein.Distance(Direct(process, end, Count, generator), expected);
            }
            worst = Math.Max(worst, walked / floor);
        }
        context.AtMost($"{process.Name}: 200 steps against the closed form, worst seed, in distances of two closed forms", worst, 1.5);
    }

    private static Tensor Direct(ForwardProcess process, double t, int count, Generator generator) =>
        s_data.Sample(count, generator) * process.Alpha(t) + Tensor.Randn(generator, [count, 2]) * process.Sigma(t);

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
            // One legend is enough, where it covers nothing.
            signal.Plot(parts, [.. times.Select(process.Alpha)]);
            noise.Plot(parts, [.. times.Select(process.Sigma)]);
            ratio.Plot(parts, [.. times.Select(process.LogSnr)], process.Name);
        }
        foreach (var axes in new[] { signal, noise, ratio })
            axes.XLabel = "t / end";
        context.Figure("processes", figure);
    }

    /// <summary>f and g of the equation dx = f x dt + g dw: integrated, they give alpha and sigma back.</summary>
    private static void Equations(StudyContext context, ForwardProcess[] processes)
    {
        var figure = new Figure();
        Axes drift = figure.AddAxes("drift f"), diffusion = figure.AddAxes("diffusion g");
        (drift.XLabel, drift.YLabel, diffusion.XLabel, diffusion.YLabel) = ("t / end", "f times the end", "t / end", "g times its square root");
        diffusion.LogY = true;
        // Processes that end at ratio infinity have an infinite drift there.
        double[] parts = [.. Enumerable.Range(1, 191).Select(i => i / 200.0)];
        double worst = 0;
        foreach (var process in processes)
        {
            double end = process.EndTime;
            drift.Plot(parts, [.. parts.Select(part => process.Drift(part * end) * end)]);
            diffusion.Plot(parts, [.. parts.Select(part => Math.Sqrt(process.DiffusionSquared(part * end) * end))], process.Name);
            // ln alpha is the integral of f, and (sigma / alpha)^2 that of (g / alpha)^2.
            double first = process.TimeOf(0.1), last = process.TimeOf(5);
            double logAlpha = Integral(process.Drift, first, last), ratio = Integral(t => process.DiffusionSquared(t) / Math.Pow(process.Alpha(t), 2), first, last);
            worst = Math.Max(worst, Math.Abs(logAlpha - Math.Log(process.Alpha(last) / process.Alpha(first))));
            worst = Math.Max(worst, Math.Abs(ratio / (25 - 0.01) - 1));
        }
        context.Figure("equations", figure);
        // Simpson's rule with 2,000 intervals: some 1e-13 of a fourth derivative.
        context.AtMost("f and g integrated, against alpha and sigma, worst process, in millionths", worst * 1e6, 1);

        static double Integral(Func<double, double> f, double from, double to)
        {
            const int Intervals = 2000;
            double h = (to - from) / Intervals, sum = f(from) + f(to);
            for (int i = 1; i < Intervals; i++)
                sum += (i % 2 == 0 ? 2 : 4) * f(from + i * h);
            return sum * h / 3;
        }
    }

    /// <summary>Back from noise by the posteriors q(x_s | x_t, x_0) of a known point: at every time the state is distributed as q(x_s | x_0).</summary>
    private static void Bridges(StudyContext context, ForwardProcess[] processes)
    {
        const int Steps = 50, Shown = 40;
        var figure = new Figure { Columns = 4, PanelWidth = 240, PanelHeight = 200, Title = "back from noise to a known point by the posteriors: at equal sigma / alpha, x / alpha of all processes walks the same paths" };
        int count = context.Count(20_000, 4_000);
        double worst = 0;
        foreach (var process in processes)
        {
            using var scope = new MemoryScope();
            var generator = new Generator(0, 22);
            double end = process.TimeOf(3), start = process.TimeOf(0.05);
            // Equal steps of ln(sigma / alpha), so that all processes walk through the same ratios.
            double[] times = [.. Enumerable.Range(0, Steps + 1).Select(i => i == 0 ? end : i == Steps ? start : process.TimeOf(3 * Math.Pow(0.05 / 3, (double)i / Steps)))];
            var x0 = Tensor.Full([count, 1], 1.5);
            var x = x0 * process.Alpha(end) + Tensor.Randn(generator, x0.Shape) * process.Sigma(end);
            var paths = Enumerable.Range(0, Shown).Select(_ => new double[Steps + 1]).ToArray();
            Note(0);
            for (int i = 1; i <= Steps; i++)
            {
                var step = new Transition(process, times[i - 1], times[i]);
                x = x * step.PosteriorXt + x0 * step.PosteriorX0 + Tensor.Randn(generator, x0.Shape) * Math.Sqrt(step.PosteriorVariance);
                Note(i);
                var standard = (x - x0 * process.Alpha(times[i])) * (1 / process.Sigma(times[i]));
                worst = Math.Max(worst, Math.Max(Math.Abs(standard.Mean().Item()), Math.Abs(standard.Square().Mean().Item() - 1) / Math.Sqrt(2)) * Math.Sqrt(count));
            }
            var axes = figure.AddAxes(process.Name);
            axes.LogX = true;
            (axes.XLabel, axes.YLimits) = ("sigma / alpha", (-8, 10));
            double[] at = [.. times.Select(t => process.NoiseToSignal(t))];
            foreach (double[] path in paths)
                axes.Plot(at, path, color: Color.Cycle[0], width: 0.8, alpha: 0.4);

            void Note(int i)
            {
                float[] values = x.Slice(0, 0, Shown).ToArray();
                for (int k = 0; k < Shown; k++)
                    paths[k][i] = values[k] / process.Alpha(times[i]);
            }
        }
        context.Figure("bridges", figure);
        // Mean and variance at 50 neighbouring times of seven processes: of some hundred independent numbers the largest is about 3.
        context.AtMost("mean and variance on the way back, worst time of the worst process (standard errors)", worst, 5);
    }

    /// <summary>How far the end of a process is from what sampling starts from.</summary>
    private static void Priors(StudyContext context, ForwardProcess[] processes)
    {
        double worst = 0;
        var data = s_data.Sample(1000, new Generator(4));
        foreach (var process in processes)
        {
            double nats = Likelihood.VariationalBound.Prior(process, data).Mean().Item();
            context.Number($"{process.Name}: KL(q(x_T | x_0) || prior) in nats", nats);
            worst = Math.Max(worst, nats);
        }
        context.AtMost("distance of the end from the prior, worst process (nat)", worst, 0.01);
    }

    /// <summary>T steps: beta_i is g^2 / T, up to what a step misses of the change of g.</summary>
    private static void Discretisations(StudyContext context)
    {
        var figure = new Figure { PanelWidth = 420, PanelHeight = 300 };
        int[] counts = [10, 100, 1000];
        foreach (VariancePreserving process in new VariancePreserving[] { new LinearSchedule(), new CosineSchedule() })
        {
            var axes = figure.AddAxes($"{process.Name}: T beta in T steps");
            (axes.XLabel, axes.YLabel, axes.LogY) = ("t", "T beta", true);
            double[] errors = new double[counts.Length], fine = [.. Enumerable.Range(1, 199).Select(i => i / 200.0)];
            for (int c = 0; c < counts.Length; c++)
            {
                var schedule = new DiscreteSchedule(process, counts[c]);
                double[] at = [.. Enumerable.Range(0, counts[c]).Select(schedule.Time)], scaled = [.. schedule.Beta.Select(beta => counts[c] * beta)];
                axes.Plot(at, scaled, $"T = {counts[c]}");
                // Half way, where both have a middling slope.
                errors[c] = Math.Abs(scaled[counts[c] / 2 - 1] / process.Beta(at[counts[c] / 2 - 1]) - 1);
            }
            axes.Plot(fine, [.. fine.Select(process.DiffusionSquared)], "g squared", Color.Ink, dashed: true);
            context.Near($"{process.Name}: order in 1 / T in which T beta becomes g squared", Math.Log10(errors[1] / errors[2]), 1, 0.1);
        }
        context.Figure("discretisations", figure);
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
