using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Studies;

public sealed partial class SchedulesStudy
{
    private const int BoundSteps = 200;

    /// <summary>The same bound estimated by a batch, from one step of each sample: with more or less in closed form, and times that go together or not.</summary>
    private static void Estimators(StudyContext context)
    {
        var process = new CosineSchedule();
        double[] times = TimeGrid.LogSnr(process, BoundSteps, 0.01);
        var whole = VariationalBound.Evaluate(
            s_data.Denoiser(process), s_data.Sample(context.Count(20_000, 4_000), new Generator(1, 51)), times, new Generator(2, 51), Decoder.Gaussian);
        context.Number("the bound, all steps of every sample", whole.Total);
        int[] sizes = [16, 64, 256, 1024];
        const int Judged = 256;
        double apart = 0;
        var deviations = new Dictionary<(TimeSpread, string), double>();
        var figure = new Figure { Title = "one standard deviation of the bound's estimate", PanelWidth = 280 };
        foreach (var spread in Enum.GetValues<TimeSpread>())
        {
            var axes = figure.AddAxes($"{spread.ToString().ToLowerInvariant()} times");
            axes.LogY = true;
            axes.YLimits = (0.3, 100);
            axes.LogX = true;
            (axes.XLabel, axes.YLabel) = ("samples in a batch", "nat");
            var curves = new Dictionary<string, double[]>();
            for (int i = 0; i < sizes.Length; i++)
            {
                context.ThrowIfStopped();
                int batches = Math.Max(50, context.Count(200_000, 40_000) / sizes[i]);
                foreach (var (name, means) in BatchMeans(process, times, sizes[i], batches, spread))
                {
                    var (mean, deviation) = Statistics.Moments(means);
                    if (!curves.TryGetValue(name, out double[]? curve))
                        curves[name] = curve = new double[sizes.Length];
                    curve[i] = deviation;
                    if (sizes[i] != Judged)
                        continue;
                    deviations[(spread, name)] = deviation;
                    double error = Math.Sqrt(deviation * deviation / means.Length + whole.StandardError * whole.StandardError);
                    apart = Math.Max(apart, Math.Abs(mean - whole.Total) / error);
                    context.Number($"{spread.ToString().ToLowerInvariant()} times, {name}: deviation of a batch of {Judged} (nat)", deviation);
                }
            }
            foreach (var (name, curve) in curves)
                axes.Plot([.. sizes.Select(n => (double)n)], curve, name);
        }
        context.Figure("estimators", figure);
        context.AtMost("estimators of the bound: distance of any mean to the sum over all steps, in standard errors", apart, 3);
        context.AtMost("variance with closed-form KL against ln q(x_s | x_t, x_0) / p, even times", Ratio(TimeSpread.Even, ClosedName, TimeSpread.Even, PosteriorName), 1);
        context.AtMost("variance of ln q(x_s | x_t, x_0) / p against ln q(x_t | x_s) / p, even times", Ratio(TimeSpread.Even, PosteriorName, TimeSpread.Even, ForwardName), 1);
        context.AtMost("variance with even against independent times, closed form", Ratio(TimeSpread.Even, ClosedName, TimeSpread.Independent, ClosedName), 1);

        double Ratio(TimeSpread a, string x, TimeSpread b, string y) => Math.Pow(deviations[(a, x)] / deviations[(b, y)], 2);
    }

    private const string ForwardName = "ln q(x_t | x_s) / p", PosteriorName = "ln q(x_s | x_t, x_0) / p", ClosedName = "closed-form KL";

    /// <summary>The means of many batches: all are asked in one go, and then told apart.</summary>
    private static IEnumerable<(string Name, double[] Means)> BatchMeans(ForwardProcess process, double[] times, int size, int batches, TimeSpread spread)
    {
        using var scope = new MemoryScope();
        var generator = new Generator((ulong)size, 52 + (ulong)spread);
        int[] steps = [.. Enumerable.Range(0, batches).SelectMany(_ => TimeSampler.Numbers(size, generator, spread)).Select(u => (int)(u * BoundSteps))];
        var found = BoundEstimates.Evaluate(
            s_data.Denoiser(process), s_data.Sample(steps.Length, generator, RawDiffusion.Device.Cpu), times, steps, generator, Decoder.Gaussian);
        return [(ForwardName, Means(found.ForwardRatio)), (PosteriorName, Means(found.PosteriorRatio)), (ClosedName, Means(found.ClosedForm))];

        double[] Means(double[] values) => [.. values.Chunk(size).Select(batch => batch.Average())];
    }
}
