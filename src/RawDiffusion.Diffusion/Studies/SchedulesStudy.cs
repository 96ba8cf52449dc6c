using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>What a noise schedule decides: nothing of the continuous bound but its scatter, and how well few steps come near to it.</summary>
public sealed partial class SchedulesStudy : Study
{
    /// <summary>Steps of the discrete models that are compared: few enough that the schedule's way of spending them shows.</summary>
    private const int FewSteps = 100;

    private static readonly EightGaussians s_data = new();

    public override string Name => "schedules";

    public override string Lesson =>
        "In continuous time a schedule changes only how much the bound's estimate scatters, and can be learned for that; in discrete time it decides how tight the bound is.";

    public override void Run(StudyContext context)
    {
        Estimators(context);
        var learned = Learned(context);
        Curves(context, learned);
        CosineAndLinear(context);
    }

    private static void Curves(StudyContext context, LearnedSchedule learned)
    {
        var figure = new Figure { PanelWidth = 300 };
        Axes signal = figure.AddAxes("signal alpha"), noise = figure.AddAxes("noise sigma"), ratio = figure.AddAxes("log-SNR");
        noise.LogY = true;
        double[] times = [.. Enumerable.Range(1, 399).Select(i => i / 400.0)];
        foreach (ForwardProcess process in new ForwardProcess[] { new LinearSchedule(), new CosineSchedule(), new SigmoidSchedule(), learned, new StraightFlow() })
        {
            signal.Plot(times, [.. times.Select(process.Alpha)], process.Name);
            noise.Plot(times, [.. times.Select(process.Sigma)], process.Name);
            ratio.Plot(times, [.. times.Select(process.LogSnr)], process.Name);
        }
        foreach (var axes in new[] { signal, noise, ratio })
            axes.XLabel = "time";
        ratio.YLabel = "ln(alpha^2 / sigma^2)";
        context.Figure("schedules", figure);
    }

    /// <summary>
    /// Two models that differ in nothing but the schedule: the network, L_simple, the training and the number of equal steps of time. The
    /// decoder is the Gaussian of the last step, and so is the variance of each step that of the forward step, which is the better one of the
    /// two fixed ones where the noise is below the data's own spread (Ho et al. 2020, section 3.2), as it is in the first steps of both.
    /// </summary>
    private static void CosineAndLinear(StudyContext context)
    {
        int[] counts = [30, FewSteps, 300, 1000];
        ForwardProcess[] processes = [new LinearSchedule(), new CosineSchedule()];
        var learned = new double[2, counts.Length];
        double worst = double.NegativeInfinity;
        int lower = 0;
        foreach (ulong seed in context.Seeds)
        {
            double[] few = new double[2];
            for (int p = 0; p < 2; p++)
            {
                var denoiser = PointTraining.Train(s_data, processes[p], Parameterisation.Epsilon, seed, context.Count(4000, 400), context);
                for (int i = 0; i < counts.Length; i++)
                {
                    if (context.Count(0, 1) == 1 && counts[i] > FewSteps)
                        continue;
                    double bound = Bound(denoiser, counts[i], seed, context);
                    learned[p, i] += bound / context.Seeds.Count;
                    if (counts[i] == FewSteps)
                        few[p] = bound;
                }
            }
            context.Number($"bound of {FewSteps} steps, seed {seed}: linear", few[0]);
            context.Number($"bound of {FewSteps} steps, seed {seed}: cosine", few[1]);
            lower += few[1] < few[0] ? 1 : 0;
            worst = Math.Max(worst, few[1] - few[0]);
        }
        context.Number("cosine less linear, worst seed (nat)", worst);
        context.AtLeast($"cosine has the lower bound of {FewSteps} steps: seeds of {context.Seeds.Count}", lower, context.Seeds.Count);

        var figure = new Figure();
        var axes = figure.AddAxes("bound above the entropy");
        (axes.LogX, axes.LogY) = (true, true);
        (axes.XLabel, axes.YLabel) = ("steps", "nat");
        double entropy = -s_data.LogDensity(Points(context)).ToDoubleArray().Average();
        int shown = context.Count(counts.Length, 2);
        double[] at = [.. counts.Take(shown).Select(n => (double)n)];
        for (int p = 0; p < 2; p++)
        {
            double[] exact = [.. counts.Take(shown).Select(n => Bound(s_data.Denoiser(processes[p]), n, 0, context) - entropy)];
            axes.Plot(at, [.. Enumerable.Range(0, shown).Select(i => learned[p, i] - entropy)], $"{processes[p].Name}, learned", Color.Cycle[p]);
            axes.Plot(at, exact, $"{processes[p].Name}, exact denoiser", Color.Cycle[p], dashed: true);
            for (int i = 0; i < shown; i++)
            {
                context.Number($"{processes[p].Name}, {counts[i]} steps: learned bound above the entropy", learned[p, i] - entropy);
                context.Number($"{processes[p].Name}, {counts[i]} steps: exact bound above the entropy", exact[i]);
            }
        }
        context.Figure("cosine-linear", figure);
    }

    private static Tensor Points(StudyContext context) => s_data.Sample(context.Count(4000, 2000), new Generator(17));

    private static double Bound(Denoiser denoiser, int steps, ulong seed, StudyContext context)
    {
        context.ThrowIfStopped();
        using var scope = new MemoryScope();
        return VariationalBound.Evaluate(
            denoiser, Points(context).To(context.Device), TimeGrid.Uniform(denoiser.Process, steps), new Generator(seed, 18), Decoder.Gaussian, ReverseVariance.FixedLarge).Total;
    }
}
