using System.Diagnostics;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Vae;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>
/// Levels of latents: a VAE of one and of several with equally many parameters on binarised digits; and diffusion, which is the one whose
/// encoder is fixed.
/// </summary>
/// <remarks>
/// Nearly all of the HVAE is a VAE of one level, a little narrower than the other one; a small level above learns what is expected of
/// its latents. Both are trained alike. More latents do not help the one level: after 2,000 steps with as many parameters
/// its bound is 101.5 nat with 32, 101.8 with 40 and 102.5 with 64.
/// </remarks>
public sealed class VaeHvaeStudy : Study
{
    private const int Batch = 128, TestBatch = 1000, Draws = 50, Pixels = 28 * 28, WarmUpShare = 5;

    // Widths at which both have the same number of parameters.
    private static readonly int[] s_oneLevel = [32], s_levels = [32, 12];
    private const int OneLevelWidth = 360, LevelsWidth = 330, UpperWidth = 128;

    public override string Name => "vae-hvae";

    public override string Lesson => "Levels of latents make a VAE's bound tighter at equal size; with the noising process as encoder, levels of latents are diffusion.";

    public override bool NeedsImages => true;

    public override void Run(StudyContext context)
    {
        var data = context.Models.Data("mnist");
        var vae = Learned(context, data, "vae", s_oneLevel, OneLevelWidth);
        var hvae = Learned(context, data, "hvae", s_levels, LevelsWidth);
        context.Number("parameters of the VAE", vae.ParameterCount);
        context.Number("parameters of the HVAE", hvae.ParameterCount);
        context.AtMost("parameters of both apart (%)", 100 * Math.Abs(1 - (double)vae.ParameterCount / hvae.ParameterCount), 2);

        var test = TestBits(context, data, context.Count(10_000, 1_000));
        var (vaeTerms, hvaeTerms) = (Bound(vae, test), Bound(hvae, test));
        Report(context, "VAE", vaeTerms);
        Report(context, "HVAE", hvaeTerms);
        context.AtLeast("bound of the HVAE below that of an equal VAE on binarised MNIST (nat)", vaeTerms.Total - hvaeTerms.Total, 1);
        var few = test[..Math.Max(1, test.Length / 10)];
        context.Number($"-ln p by {Draws} weighted draws, VAE (nat)", Weighted(vae, few));
        context.Number($"-ln p by {Draws} weighted draws, HVAE (nat)", Weighted(hvae, few));
        DrawTerms(context, vaeTerms, hvaeTerms);
        DrawSamples(context, vae, hvae, test[0]);
        Diffusion(context, data);
    }

    private static MlpVae Learned(StudyContext context, ITrainingData data, string name, int[] latents, int width)
    {
        var untrained = new MlpVae(new Generator(0, 17), Pixels, latents, VaeLikelihood.Bernoulli, width, upperWidth: UpperWidth, device: context.Device);
        return context.Models.Trained($"{name}-mnist-bits", untrained, model => Train(context, data, model, name));
    }

    private static MlpVae Train(StudyContext context, ITrainingData data, MlpVae model, string name)
    {
        int steps = context.Count(10_000, 1_000), step = 0;
        var (bits, noise) = (new Generator(0, 18), new Generator(0, 19));
        long start = Stopwatch.GetTimestamp();
        context.Reporter.Begin(name, steps, Batch);
        PointTraining.Learn(model, steps, context, () =>
        {
            var x = Binarise(data.Draw((long)step * Batch, Batch, 0, context.Device).X, bits);
            double weight = Math.Min(1, (double)step / (steps / WarmUpShare));
            context.Reporter.Report(++step);
            // A loss of order 1 for the limit of its gradient's norm.
            return model.Model.Terms(x, noise).Sum(weight).Mean() * (1.0 / Pixels);
        });
        context.Reporter.End();
        context.Number($"seconds of training, {name}", Stopwatch.GetElapsedTime(start).TotalSeconds);
        return model;
    }

    /// <summary>Bits that are 1 as often as a pixel is bright (Salakhutdinov and Murray 2008), [n, 784].</summary>
    private static Tensor Binarise(Tensor images, Generator generator)
    {
        var brightness = images.Reshape(images.Shape[0], Pixels) * 0.5 + 0.5;
        return brightness.Gt(Tensor.Rand(generator, brightness.Shape, device: images.Device));
    }

    private static Tensor[] TestBits(StudyContext context, ITrainingData data, int count)
    {
        var generator = new Generator(1, 18);
        int size = Math.Min(TestBatch, count / 10);
        return [.. Enumerable.Range(0, count / size).Select(i => Binarise(data.HeldOut.Draw((long)i * size, size, 0, context.Device).X, generator))];
    }

    private static BoundTerms Bound(MlpVae model, Tensor[] batches)
    {
        var noise = new Generator(2, 19);
        BoundTerms[] terms = [.. batches.Select(x => model.Model.Bound(x, noise))];
        return new BoundTerms(
            terms.Average(t => t.Prior), [.. Enumerable.Range(0, terms[0].Steps.Count).Select(i => terms.Average(t => t.Steps[i]))],
            terms.Average(t => t.Reconstruction), [.. terms.SelectMany(t => t.PerSample)]);
    }

    private static double Weighted(MlpVae model, Tensor[] batches)
    {
        const int AtOnce = 100;
        var noise = new Generator(3, 19);
        using var noGrad = new NoGrad();
        double sum = 0;
        int count = 0;
        foreach (var batch in batches)
        {
            for (int start = 0; start < batch.Shape[0]; start += AtOnce, count++)
            {
                using var scope = new MemoryScope();
                sum += model.Model.ImportanceWeighted(batch.Slice(0, start, Math.Min(AtOnce, batch.Shape[0] - start)), Draws, noise).Mean().Item();
            }
        }
        return sum / count;
    }

    private static void Report(StudyContext context, string name, BoundTerms terms)
    {
        context.Number($"{name}: bound (nat)", terms.Total);
        context.Number($"{name}: standard error over images (nat)", terms.StandardError);
        context.Number($"{name}: KL of the top level (nat)", terms.Prior);
        for (int i = 0; i < terms.Steps.Count; i++)
            context.Number($"{name}: KL of level {terms.Steps.Count - i} (nat)", terms.Steps[i]);
        context.Number($"{name}: reconstruction (nat)", terms.Reconstruction);
        context.Reporter.Line($"{name}: bound {terms.Total:0.00} = {string.Join(" + ", new[] { terms.Prior }.Concat(terms.Steps).Append(terms.Reconstruction).Select(term => $"{term:0.00}"))} nat");
    }

    private static void DrawTerms(StudyContext context, BoundTerms vae, BoundTerms hvae)
    {
        var figure = new Figure { Title = "the bound on -ln p of binarised digits by its terms", PanelWidth = 300 };
        // Room for the legend.
        double top = 1.5 * Math.Max(vae.Total, hvae.Total);
        foreach (var (name, terms) in new[] { ("one level", vae), ($"{s_levels.Length} levels", hvae) })
        {
            var axes = figure.AddAxes(name);
            (axes.XLabel, axes.YLabel) = ("", "nat");
            (axes.XLimits, axes.YLimits) = ((-0.6, hvae.Steps.Count + 2.6), (0, top));
            double[] kl = [terms.Prior, .. terms.Steps];
            for (int i = 0; i < kl.Length; i++)
                StudyBars.Draw(axes, [i], [kl[i]], i == 0 ? $"L_T: KL of the top level {kl[i]:0.0}" : $"L_(t-1): KL of level {kl.Length - i} {kl[i]:0.0}", 0.6);
            StudyBars.Draw(axes, [kl.Length], [terms.Reconstruction], $"L_0: reconstruction {terms.Reconstruction:0.0}", 0.6);
            StudyBars.Draw(axes, [kl.Length + 1], [terms.Total], $"bound {terms.Total:0.0}", 0.6);
        }
        context.Figure("terms", figure);
    }

    private static void DrawSamples(StudyContext context, MlpVae vae, MlpVae hvae, Tensor test)
    {
        const int Row = 12;
        using var noGrad = new NoGrad();
        var shown = test.Slice(0, 0, Row);
        Tensor Reconstructed(MlpVae model) => model.Decode(model.Model.Terms(shown, new Generator(5)).Latents[^1]);
        var rows = Tensor.Concat(
            [shown, Reconstructed(vae), Reconstructed(hvae), vae.Sample(2 * Row, new Generator(6)), hvae.Sample(2 * Row, new Generator(6))]);
        string[] captions = ["data", "VAE again", "HVAE again", "VAE", "VAE", "HVAE", "HVAE"];
        context.Images("samples", rows.Reshape(captions.Length * Row, 28, 28, 1), new ImageGrid
        {
            Columns = Row, Zoom = 3, Range = (0, 1), Captions = [.. Enumerable.Range(0, captions.Length * Row).Select(i => captions[i / Row])],
        });
    }

    /// <summary>A trained diffusion model seen as a hierarchical VAE, beside DDPM's own bound with the same noise.</summary>
    private static void Diffusion(StudyContext context, ITrainingData data)
    {
        const int Levels = 20;
        var run = context.Models.Mnist;
        var process = run.Model.Process;
        var denoiser = run.Model.Denoiser();
        var images = data.HeldOut.Draw(0, context.Count(100, 10), 0, context.Device).X;
        double[] grid = TimeGrid.Uniform(process, Levels);
        using var noGrad = new NoGrad();
        var terms = DiffusionHierarchy.Of(denoiser, run.Model.SampleShape, grid, Decoder.Discretised, device: context.Device).Terms(images, new Generator(4));
        var noise = new Samplers.RecordedNoise(terms.Latents.Select((z, i) => (z - images * process.Alpha(grid[i])) / process.Sigma(grid[i])));
        var (hierarchy, ddpm) = (terms.Read(), VariationalBound.Evaluate(denoiser, images, grid, noise, Decoder.Discretised));
        double[] left = [hierarchy.Prior, .. hierarchy.Steps, hierarchy.Reconstruction], right = [ddpm.Prior, .. ddpm.Steps, ddpm.Reconstruction];
        double worst = left.Zip(right, (a, b) => Math.Abs(a - b) / Math.Max(1, Math.Abs(b))).Max();
        context.Number("diffusion as HVAE: bound (nat)", hierarchy.Total);
        context.Number("diffusion as HVAE: bits per dimension", BitsPerDimension.Of(hierarchy.Total, Pixels));
        context.Number("DDPM: bound (nat)", ddpm.Total);
        context.AtMost($"terms of the HVAE with the forward process as encoder and of DDPM apart, worst of {Levels + 1} (relative, in 1e-6)", 1e6 * worst, 10);

        var figure = new Figure { PanelWidth = 640 };
        var axes = figure.AddAxes($"DDPM's bound and that of an HVAE with a fixed encoder, {Levels} levels, one by one");
        (axes.XLabel, axes.YLabel, axes.LogY) = ("L_T, L_(t-1) from the noise to the data, L_0", "nat per image", true);
        double floor = 0.5 * left.Concat(right).Where(value => value > 0).Min();
        double[] at = [.. Enumerable.Range(0, left.Length).Select(i => (double)i)];
        StudyBars.Draw(axes, [.. at.Select(i => i - 0.19)], left, $"hierarchical VAE, {hierarchy.Total:0.00} nat", 0.34, floor);
        StudyBars.Draw(axes, [.. at.Select(i => i + 0.19)], right, $"DDPM, {ddpm.Total:0.00} nat", 0.34, floor);
        context.Figure("diffusion", figure);
    }
}
