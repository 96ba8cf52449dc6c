using System.Diagnostics;
using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Editing;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>Half of each digit is taken away and filled in again, by a model that was never told about masks and by one that was.</summary>
public sealed class InpaintingStudy : Study
{
    // RePaint on 20 steps with jumps of 4 and 6 resamplings asks 20 + 5 x 4 x 4 times; the others get as many network passes.
    private const int RePaintSteps = 20, JumpLength = 4, Resamplings = 6;

    // A gradient through the network costs about two more passes.
    private const int PassesOfGradient = 3, ToldSteps = 50, AtOnce = 100, Side = Mnist.Side;
    private const double Weight = 2, Clip = 1;

    private static readonly string[] s_halves = ["right", "lower"];

    public override string Name => "inpainting";

    public override string Lesson => "A model without masks fills in what fits, the better the more it is asked to fit; a model that was told the mask does so at once.";

    public override bool NeedsImages => true;

    private sealed record Method(string Name, Func<Denoiser, KnownPart, Tensor, Generator, Tensor> Run);

    public override void Run(StudyContext context)
    {
        var run = context.Models.Mnist;
        var judge = context.Models.Classifier("mnist");
        var model = run.Model;
        model.Network.Eval();
        var told = context.Models.Trained("mnist-inpainting", MaskConditioning.Widen((UNet2D)model.Network), network =>
        {
            var training = new TrainingConfig { Steps = context.Count(1000, 20), Batch = 64, LearningRate = 1e-3, Warmup = 50, EmaDecay = 0.995 };
            MaskConditioning.FineTune(network, model.Process, model.Parameterisation, context.Models.Data("mnist"), training, 0, context.Reporter, context.Stop);
            return network;
        });

        int count = context.Count(300, 16);
        var batch = context.Models.Data("mnist").HeldOut.Draw(0, count, 0, context.Device);
        var labels = batch.Labels!;
        double[] few = TimeGrid.Uniform(model.Process, RePaintSteps), visited = Inpainting.RePaintTimes(few, JumpLength, Resamplings);
        int evaluations = Enumerable.Range(1, visited.Length - 1).Count(i => visited[i] < visited[i - 1]);
        double[] asked = TimeGrid.Uniform(model.Process, evaluations), guided = TimeGrid.Uniform(model.Process, evaluations / PassesOfGradient);
        Method[] methods =
        [
            new("replacement", (d, known, x, g) => Inpainting.Replacement(d, known, x, asked, g, Clip)),
            new("RePaint", (d, known, x, g) => Inpainting.RePaint(d, known, x, few, g, JumpLength, Resamplings, Clip)),
            new("guided", (d, known, x, g) => Inpainting.Guided(d, known, x, guided, g, Weight, Clip)),
            new("fine-tuned", (_, known, x, g) => known.Fill(Sampler.Ddpm(
                MaskConditioning.Denoiser(told, model.Process, model.Parameterisation, known), x, TimeGrid.Uniform(model.Process, ToldSteps), g, clipX0: Clip))),
        ];
        context.Number("evaluations of replacement and RePaint", evaluations);
        context.Number("evaluations of guidance, each with a gradient", guided.Length - 1);
        context.Number("evaluations of the fine-tuned network", ToldSteps);
        double whole = ClassifierTraining.ShareRight(judge, batch.X, labels);
        context.Number("accuracy on whole digits", whole);

        var accuracy = methods.ToDictionary(method => method.Name, _ => 0.0);
        int changed = 0, done = 0;
        int parts = s_halves.Length * methods.Length * ((count + AtOnce - 1) / AtOnce);
        context.Reporter.Begin("inpaint", parts, unit: "batches");
        foreach (string half in s_halves)
        {
            var mask = Mask(half, context);
            context.Number($"{half} half missing: accuracy on what is left", ClassifierTraining.ShareRight(judge, Blank(batch.X, mask), labels));
            var rows = new List<Tensor> { batch.X, Grey(batch.X, mask) };
            foreach (var method in methods)
            {
                var clock = Stopwatch.StartNew();
                var filled = Tensor.Concat([.. Enumerable.Range(0, (count + AtOnce - 1) / AtOnce).Select(part =>
                {
                    context.ThrowIfStopped();
                    var images = batch.X.Slice(0, part * AtOnce, Math.Min(AtOnce, count - part * AtOnce));
                    using var scope = new MemoryScope();
                    var generator = new Generator(0, 51 + (ulong)part);
                    var made = method.Run(model.Denoiser(), new KnownPart(images, mask), Sampler.Prior(model.Process, images.Shape, generator, context.Device), generator);
                    context.Reporter.Report(++done);
                    return scope.Keep(made);
                })]);
                double right = ClassifierTraining.ShareRight(judge, filled, labels);
                accuracy[method.Name] += right / s_halves.Length;
                changed += Changed(filled, batch.X, mask);
                Tensor made = Missing(filled, half), truth = Missing(batch.X, half);
                context.Number($"{half} half, {method.Name}", new JsonObject
                {
                    ["accuracy"] = right,
                    ["psnr"] = ImageSimilarity.PeakSignalToNoise(made, truth),
                    ["ssim"] = ImageSimilarity.StructuralSimilarity(made, truth),
                    ["seconds"] = Math.Round(clock.Elapsed.TotalSeconds, 1),
                });
                rows.Add(filled);
            }
            Draw(context, half, rows, methods);
        }
        context.Reporter.End();
        foreach (var (name, value) in accuracy)
            context.Number($"accuracy, {name}", value);
        context.AtMost("known pixels that were changed", changed, 0);
        Judge("RePaint", "replacement");
        Judge("fine-tuned", "RePaint");

        void Judge(string better, string worse) => context.Judge(
            $"accuracy on true labels, {better} against {worse}", FormattableString.Invariant($"{accuracy[better]:0.000}"),
            FormattableString.Invariant($"> {accuracy[worse]:0.000}"), accuracy[better] > accuracy[worse]);
    }

    /// <summary>1 on the half that is left, [28, 28, 1].</summary>
    private static Tensor Mask(string half, StudyContext context)
    {
        var mask = new float[Side * Side];
        for (int i = 0; i < mask.Length; i++)
            mask[i] = (half == "right" ? i % Side : i / Side) < Side / 2 ? 1 : 0;
        return Tensor.From(mask, [Side, Side, 1], context.Device);
    }

    private static Tensor Missing(Tensor images, string half) => images.Slice(half == "right" ? 2 : 1, Side / 2, Side / 2);

    /// <summary>With grey in the missing half.</summary>
    private static Tensor Grey(Tensor images, Tensor mask) => images * mask;

    /// <summary>With nothing, black, in the missing half.</summary>
    private static Tensor Blank(Tensor images, Tensor mask) => (images + 1) * mask - 1;

    private static int Changed(Tensor filled, Tensor images, Tensor mask) => (int)(filled.Ne(images) * mask).Sum().Item();

    /// <summary>A row for each of the first digits, a column for each method.</summary>
    private static void Draw(StudyContext context, string half, List<Tensor> columns, Method[] methods)
    {
        const int shown = 10;
        int rows = Math.Min(shown, columns[0].Shape[0]);
        var cells = new List<Tensor>();
        for (int row = 0; row < rows; row++)
            cells.AddRange(columns.Select(column => column.Slice(0, row, 1)));
        string[] names = ["original", "what is left", .. methods.Select(method => method.Name)];
        context.Images($"{half}-half", Tensor.Concat(cells.ToArray()), new ImageGrid
        {
            Columns = names.Length, Zoom = 3, Captions = [.. Enumerable.Range(0, rows * names.Length).Select(i => names[i % names.Length])],
        });
    }
}
