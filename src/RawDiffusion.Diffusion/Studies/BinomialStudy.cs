using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Markov;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Plots;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>Diffusion without Gaussians: bits that flip. The heartbeats of Sohl-Dickstein et al. 2015, exact and learned.</summary>
public sealed class BinomialStudy : Study
{
    private const int Batch = 256;

    private static readonly double s_bit = Math.Log(2);

    public override string Name => "binomial";

    public override string Lesson =>
        "Any Markov chain that forgets slowly can be run backwards: with bits that flip, the bound meets the entropy as steps become small, and a network learns it.";

    public override void Run(StudyContext context)
    {
        var data = BitMixture.Heartbeat(device: context.Device);
        double entropy = data.Entropy / s_bit;
        context.Number("entropy (bits per sequence)", entropy);
        SmallSteps(context, data, entropy);
        Learned(context, data, entropy);
    }

    /// <summary>The exact reverse chain: what independent bits in each step cost, and what the paper's fixed last step does.</summary>
    private static void SmallSteps(StudyContext context, BitMixture data, double entropy)
    {
        int[] counts = [1, 4, 16, 64, 256, context.Count(2000, 256)];
        double[] learned = new double[counts.Length], fixedEnd = new double[counts.Length];
        double error = 0;
        for (int i = 0; i < counts.Length; i++)
        {
            context.ThrowIfStopped();
            using var scope = new MemoryScope();
            var chain = new BinomialChain(MarkovSchedule.EqualShares(counts[i]), context.Device);
            var reverse = chain.Reverse(data.X0Model(chain));
            var x0 = data.Sample(context.Count(5_000, 2_000), new Generator(1));
            var terms = MarkovBound.Evaluate(chain, reverse, x0, new Generator(2));
            (learned[i], error) = (terms.Total / s_bit, terms.StandardError / s_bit);
            // Only the last term differs: that of the forward kernel, turned round.
            double forward = MarkovBound.Entropies(chain, x0, terms).Start;
            fixedEnd[i] = (terms.Total - terms.Reconstruction + forward) / s_bit;
            context.Number($"exact reverse chain of {counts[i]} steps (bits per sequence)", new JsonObject
            {
                ["bound"] = learned[i],
                ["standard error"] = error,
                ["with the paper's last step"] = fixedEnd[i],
            });
        }
        var figure = new Figure { PanelWidth = 520, PanelHeight = 320 };
        var axes = figure.AddAxes("exact reverse chain: bound by number of steps");
        axes.LogX = true;
        (axes.XLabel, axes.YLabel) = ("steps T", "bits per sequence");
        double[] at = [.. counts.Select(n => (double)n)];
        axes.Plot(at, learned, "exact p(x0 | x1) at the end");
        axes.Plot(at, fixedEnd, "the paper's fixed last step");
        axes.Plot([at[0], at[^1]], [entropy, entropy], "entropy, log2 5", Color.Ink, dashed: true);
        context.Figure("bound-by-steps", figure);
        context.Near($"exact reverse chain of {counts[^1]} steps: bound against the entropy (bits)", learned[^1], entropy, 0.05);
        context.AtLeast("and never below it (bits, with 3 standard errors)", learned[^1] + 3 * error - entropy, 0);
    }

    /// <summary>
    /// A network that says x_0, and one that says the reverse kernel outright, as the paper's does: it has to learn how sure a nearly finished
    /// string is of itself, which the other is given, and at equal training is far behind.
    /// </summary>
    private static void Learned(StudyContext context, BitMixture data, double entropy)
    {
        var chain = new BinomialChain(MarkovSchedule.EqualShares(context.Count(2000, 200)), context.Device);
        var figure = new Figure { PanelWidth = 520, PanelHeight = 320 };
        var axes = figure.AddAxes("terms of the bound");
        (axes.XLabel, axes.YLabel, axes.LogY) = ("step t / T", "bits per sequence and unit of t / T", true);
        double valid = 1, variation = 0, bound = 0;
        foreach (ulong seed in context.Seeds)
        {
            var found = Learn(context, data, chain, seed, network => chain.Reverse(chain.X0Model(network)));
            (valid, variation, bound) = (Math.Min(valid, found.Valid), Math.Max(variation, found.Variation), Math.Max(bound, found.Terms.Total / s_bit));
            if (seed == 0)
            {
                PlotTerms(axes, "network that says x0", chain.Steps, found.Terms);
                Rasters(context, data, chain, found.Reverse);
            }
        }
        context.AtLeast("samples that are heartbeats, share, worst seed", valid, 0.9);
        context.AtMost("total variation of the five phases, worst seed", variation, 0.05);
        context.Near("bound of the learned chain against log2 5, worst seed (bits per sequence)", bound, entropy, 0.2);

        var flips = Learn(context, data, chain, 0, chain.FlipModel);
        PlotTerms(axes, "network that says flips", chain.Steps, flips.Terms);
        context.Number("a network that says flips, at equal training", new JsonObject
        {
            ["share of heartbeats"] = flips.Valid,
            ["bound (bits per sequence)"] = flips.Terms.Total / s_bit,
        });
        using var scope = new MemoryScope();
        var exact = MarkovBound.Evaluate(chain, chain.Reverse(data.X0Model(chain)), data.Sample(2_000, new Generator(3)), new Generator(4));
        PlotTerms(axes, "exact", chain.Steps, exact, dashed: true);
        context.Figure("terms", figure);
    }

    private static (StepModel<Bernoulli> Reverse, double Valid, double Variation, BoundTerms Terms) Learn(
        StudyContext context, BitMixture data, BinomialChain chain, ulong seed, Func<DenoisingNetwork, StepModel<Bernoulli>> kernel)
    {
        var generator = new Generator(seed, 81);
        var model = new MlpDenoiser(generator, context.Device, data.Length);
        var reverse = kernel(model.Forward);
        PointTraining.Learn(model, context.Count(4000, 1200), context, () =>
        {
            var batch = new MarkovBatch<Bernoulli>(chain, reverse, data.Sample(Batch, generator), generator);
            return batch.Loss(batch.Draw(batch.Inputs));
        });
        using var scope = new MemoryScope();
        int count = context.Count(4_000, 2_000);
        var (each, others) = data.Count(chain.Sample(reverse, [count, data.Length], generator));
        double variation = 0.5 * each.Sum(n => Math.Abs((double)n / Math.Max(1, each.Sum()) - 1.0 / each.Length));
        var terms = MarkovBound.Evaluate(chain, reverse, data.Sample(1_000, generator), generator);
        return (reverse, 1 - (double)others / count, variation, terms);
    }

    /// <summary>Terms of neighbouring steps together, as densities over t / T: their area is the bound.</summary>
    private static void PlotTerms(Axes axes, string name, int steps, BoundTerms terms, bool dashed = false)
    {
        const int Bins = 50;
        double[] at = [.. Enumerable.Range(0, Bins).Select(i => (i + 0.5) / Bins)], sums = new double[Bins];
        for (int t = 1; t <= steps; t++)
            sums[(t - 1) * Bins / steps] += (t == 1 ? terms.Reconstruction : terms.Steps[steps - t]) / s_bit * Bins;
        axes.Plot(at, sums, name, dashed ? Color.Ink : null, dashed: dashed);
    }

    /// <summary>Strings, one a row, as they are forgotten and as they come about.</summary>
    private static void Rasters(StudyContext context, BitMixture data, BinomialChain chain, StepModel<Bernoulli> reverse)
    {
        const int Rows = 24;
        double[] parts = [0, 0.25, 0.5, 0.75, 1];
        int[] steps = [.. parts.Select(part => (int)(part * chain.Steps))];
        // What a callback makes goes with the memory scope of its step; arrays stay.
        var made = new Dictionary<int, float[]>();
        chain.Sample(reverse, [Rows, data.Length], new Generator(5), (t, x) =>
        {
            if (steps.Contains(t))
                made[t] = x.ToArray();
        });
        var x0 = data.Sample(Rows, new Generator(6));
        var pictures = steps.Select(t => chain.Marginal(x0, chain.Step(t)).Sample(new Generator(7)).ToArray()).Concat(steps.Select(t => made[t]));
        context.Images("heartbeats", Tensor.From(pictures.SelectMany(x => x).ToArray(), [2 * parts.Length, Rows, data.Length, 1]), new ImageGrid
        {
            Columns = parts.Length,
            Zoom = 8,
            Padding = 6,
            Captions = [.. parts.Select(part => Caption("forgetting", part)), .. parts.Select(part => Caption("learned", part))],
        });
        static string Caption(string what, double part) => FormattableString.Invariant($"{what}, t = {part} T");
    }
}
