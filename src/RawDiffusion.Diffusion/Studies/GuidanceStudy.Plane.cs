using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Studies;

public sealed partial class GuidanceStudy
{
    private const int ClassModes = 4;

    /// <summary>
    /// With everything exact: a class of four neighbouring modes of eight. At scale 1 its distribution comes out. Larger scales draw away from
    /// the other class, so the modes at its border are lost: guided samples are not those of p(x) p(c | x)^s either, which at no noise has all
    /// four modes unchanged.
    /// </summary>
    private static void Plane(StudyContext context)
    {
        double[] scales = [0, 1, 2, 4, 8];
        var data = new EightGaussians();
        var process = new LinearSchedule();
        var of = data.Only(0, 1, 2, 3);
        int count = context.Count(10_000, 2_000);
        double[] times = TimeGrid.LogSnr(process, 60, 0.01), outer = new double[scales.Length], spread = new double[scales.Length];
        double distance = 0, floor = SlicedWasserstein.Floor(of, count);
        var figure = new Figure { PanelWidth = 210, PanelHeight = 210, Title = "a class of four modes, drawn to with scales 0 to 8" };
        foreach (ulong seed in context.Seeds)
        {
            for (int i = 0; i < scales.Length; i++)
            {
                context.ThrowIfStopped();
                using var scope = new MemoryScope();
                var generator = new Generator(seed, 74);
                // A class is the sum of its modes, and its denoiser is exact; the classifier's form is compared with it in the tests.
                var guided = Guidance.ClassifierFree(of.DifferentiableDenoiser(process), data.DifferentiableDenoiser(process), scales[i]);
                var samples = Sampler.Heun(guided, Sampler.Prior(process, [count, 2], generator, context.Device), times, generator);
                if (scales[i] == 1)
                    distance += SlicedWasserstein.Distance(samples, of.Sample(count, generator)) / floor / context.Seeds.Count;
                var shares = ModeCoverage.Measure(samples, data).Share;
                outer[i] += (shares[0] + shares[ClassModes - 1]) / context.Seeds.Count;
                spread[i] += WithinMode(samples, data) / EightGaussians.StandardDeviation / context.Seeds.Count;
                if (seed != context.Seeds[0])
                    continue;
                var axes = figure.AddAxes(FormattableString.Invariant($"scale {scales[i]}"));
                axes.EqualAspect = true;
                axes.XLimits = axes.YLimits = (-3.2, 3.2);
                axes.Scatter(samples.Slice(0, 0, 2000), radius: 1, alpha: 0.4);
            }
        }
        context.Figure("plane", figure);
        context.Numbers("plane: share of samples in the class's two modes at the border, by scale", scales, outer);
        context.Numbers("plane: spread within a mode by scale, in that of the data", scales, spread);
        context.AtMost("plane: exact guidance of scale 1 against the class's distribution, sliced Wasserstein in floors", distance, 1.5);
        context.AtMost("plane: share of samples in the two modes at the border, scale 8 against scale 1", outer[^1] / outer[1], 0.9);
    }

    /// <summary>The standard deviation of samples about the mean of those that are nearest to the same mode, along an axis.</summary>
    private static double WithinMode(Tensor samples, EightGaussians data)
    {
        double[] points = samples.ToDoubleArray();
        int[] modes = data.ComponentLogits(samples, 1, 0).ArgMax(1).ToInt32Array();
        double[] sum = new double[3 * EightGaussians.Modes];
        for (int i = 0; i < modes.Length; i++)
        {
            sum[3 * modes[i]] += points[2 * i];
            sum[3 * modes[i] + 1] += points[2 * i + 1];
            sum[3 * modes[i] + 2]++;
        }
        double squares = 0;
        for (int i = 0; i < modes.Length; i++)
        {
            double n = sum[3 * modes[i] + 2], dx = points[2 * i] - sum[3 * modes[i]] / n, dy = points[2 * i + 1] - sum[3 * modes[i] + 1] / n;
            squares += dx * dx + dy * dy;
        }
        return Math.Sqrt(squares / (2 * modes.Length));
    }
}
