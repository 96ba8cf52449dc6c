using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>The reverse SDE and its probability flow have the same distribution at every time, by quite different paths.</summary>
public sealed class SdeOdeStudy : Study
{
    private static readonly EightGaussians s_data = new();

    // Where they are compared: noise to signal.
    private static readonly double[] s_ratios = [3, 1, 0.3, 0.1];

    public override string Name => "sde-ode";

    public override string Lesson => "The reverse SDE and the probability flow pass through the same distributions, one by jittering paths, the other by smooth ones.";

    public override void Run(StudyContext context)
    {
        var process = new LinearSchedule();
        int count = context.Count(10_000, 2_000), steps = context.Count(1000, 400);
        double[] times = TimeGrid.LogSnr(process, steps, 0.01);
        double[] worst = new double[s_ratios.Length];
        foreach (ulong seed in context.Seeds)
        {
            var sde = States(process, times, count, seed, context, (d, x, g, watch) => Sampler.EulerMaruyama(d, x, times, g, callback: watch));
            var ode = States(process, times, count, seed, context, (d, x, g, watch) => Sampler.Heun(d, x, times, g, callback: watch));
            for (int i = 0; i < s_ratios.Length; i++)
            {
                double t = process.TimeOf(s_ratios[i]);
                var generator = new Generator(seed, 31);
                Tensor a = Noised(generator, t), b = Noised(generator, t), c = Noised(generator, t);
                double floor = 0.5 * (SlicedWasserstein.Distance(a, b) + SlicedWasserstein.Distance(a, c));
                worst[i] = Math.Max(worst[i], Math.Max(SlicedWasserstein.Distance(sde[i], a), SlicedWasserstein.Distance(ode[i], a)) / floor);
            }
        }
        for (int i = 0; i < s_ratios.Length; i++)
            context.AtMost(FormattableString.Invariant($"marginals at noise / signal = {s_ratios[i]}, worse of both, worst seed, in floors"), worst[i], 2);
        Paths(context, process, times);

        Tensor Noised(Generator generator, double t) =>
            s_data.Sample(count, generator) * process.Alpha(t) + Tensor.Randn(generator, [count, 2]) * process.Sigma(t);
    }

    /// <summary>The states nearest to the ratios.</summary>
    private static List<Tensor> States(
        ForwardProcess process, double[] times, int count, ulong seed, StudyContext context,
        Action<Denoiser, Tensor, Generator, Action<SamplerProgress>> run)
    {
        var states = new List<float[]>();
        int[] wanted = [.. s_ratios.Select(ratio => Nearest(times, process.TimeOf(ratio)))];
        var generator = new Generator(seed, 41);
        run(s_data.Denoiser(process), Sampler.Prior(process, [count, 2], generator), generator, progress =>
        {
            context.ThrowIfStopped();
            if (wanted.Contains(progress.Step))
                states.Add(progress.State.ToArray());
        });
        // The states of a sampler end with its steps; these are copies.
        return states.ConvertAll(values => Tensor.From(values, [count, 2], RawDiffusion.Device.Cpu));
    }

    private static int Nearest(double[] times, double t)
    {
        int best = 1;
        for (int i = 1; i < times.Length; i++)
        {
            if (Math.Abs(times[i] - t) < Math.Abs(times[best] - t))
                best = i;
        }
        return best;
    }

    private static void Paths(StudyContext context, ForwardProcess process, double[] times)
    {
        const int Shown = 24;
        var figure = new Figure { PanelWidth = 420 };
        foreach (var (name, run) in new (string, Action<Denoiser, Tensor, Generator, Action<SamplerProgress>>)[]
        {
            ("reverse SDE", (d, x, g, watch) => Sampler.EulerMaruyama(d, x, times, g, callback: watch)),
            ("probability flow", (d, x, g, watch) => Sampler.Heun(d, x, times, g, callback: watch)),
        })
        {
            var axes = figure.AddAxes(name);
            (axes.XLabel, axes.YLabel) = ("log-SNR", "first coordinate / alpha");
            var snr = new List<double>();
            var paths = new List<float[]>();
            var generator = new Generator(2);
            run(s_data.Denoiser(process), Sampler.Prior(process, [Shown, 2], generator), generator, progress =>
            {
                if (progress.Time == 0)
                    return;
                snr.Add(process.LogSnr(progress.Time));
                paths.Add((progress.State * (1 / process.Alpha(progress.Time))).ToArray());
            });
            for (int k = 0; k < Shown; k++)
                axes.Plot([.. snr], [.. paths.Select(state => (double)state[2 * k])], width: 0.8, color: Color.Cycle[0], alpha: 0.6);
            axes.YLimits = (-6, 6);
        }
        context.Figure("paths", figure);
    }
}
