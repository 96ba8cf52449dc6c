using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Diffusion.Studies;

public sealed partial class GuidanceStudy
{
    private const string ColourDigits = "colour-digits";

    /// <summary>Digit, colour and style at once, each with its scale, judged by a classifier of each.</summary>
    private static void Colours(StudyContext context)
    {
        var run = context.Models.Diffusion($"{ColourDigits}-attributes", ColoursConfig(context));
        var data = context.Models.Data(ColourDigits);
        ConvClassifier[] judges = [.. data.LabelKinds.Select((_, kind) => context.Models.Classifier(ColourDigits, kind))];
        for (int kind = 0; kind < judges.Length; kind++)
        {
            var (share, _) = ClassifierTraining.Accuracy(judges[kind], data.HeldOut, context.Device, SilentReporter.Instance, kind);
            context.Number($"colour digits: accuracy of the judge of the {data.LabelKinds[kind].Name} on real ones", share);
        }
        var sampling = Sampling(context, 400);
        (string Name, SamplingConfig How)[] settings =
        [
            ("scale 1", sampling),
            ("scale 2", sampling with { Guidance = 2 }),
            ("scale 2, colour 1", sampling with { Guidance = 2, GuidanceOf = new Dictionary<string, double> { ["colour"] = 1 } }),
        ];
        double[][] right = [.. settings.Select(setting => Right(setting.How, ToChoose))];
        for (int i = 0; i < settings.Length; i++)
            context.Number($"colour digits, {settings[i].Name}: share right", ByName(data, right[i]));
        // Which setting is judged is settled by what is worst in it.
        int best = Enumerable.Range(0, settings.Length).MaxBy(i => right[i].Min());
        double[] judged = Right(settings[best].How, ToJudge);
        for (int kind = 0; kind < judges.Length; kind++)
            context.AtLeast($"coloured digits, {data.LabelKinds[kind].Name} as asked, {settings[best].Name}, the best of other samples", judged[kind], 0.9);

        context.Images("colour-digits", Styles(context, run, data, settings[best].How with { Count = 20 }), Grid(data.LabelKinds[2].Values, 20));
        context.Images("colour-digits-told", Told(run, settings[best].How with { Count = Digits }, context), Grid(["nothing", "+ digit", "+ blue", "+ bold"], Digits));

        double[] Right(SamplingConfig how, ulong seed)
        {
            using var scope = new MemoryScope();
            var samples = run.Sample(how, seed, SilentReporter.Instance, stop: context.Stop);
            double[] shares = [.. judges.Select((judge, kind) => ClassifierTraining.ShareRight(judge, samples.X, samples.Attributes!.Slice(1, kind, 1).Reshape(how.Count)))];
            context.Reporter.Line(FormattableString.Invariant(
                $"colour digits, guidance {how.Guidance}{(how.GuidanceOf is null ? "" : ", colour 1")}: {string.Join(", ", data.LabelKinds.Select((kind, i) => FormattableString.Invariant($"{kind.Name} {shares[i]:0.000}")))}"));
            return shares;
        }
    }

    private static RunConfig ColoursConfig(StudyContext context)
    {
        var config = context.Models.Config(ColourDigits, conditional: true);
        return config with
        {
            Model = config.Model with { Attributes = true },
            Training = config.Training with { Steps = Math.Min(config.Training.Steps, 1000), LabelDropout = 0.2 },
        };
    }

    /// <summary>Two rows of every style; the colour of each digit is another.</summary>
    private static Tensor Styles(StudyContext context, TrainedRun run, ITrainingData data, SamplingConfig how) => Tensor.Concat(
        [.. data.LabelKinds[2].Values.Select(style => run.Sample(how, 1, SilentReporter.Instance, stop: context.Stop, attributes: new Dictionary<string, string> { ["style"] = style }).X)]);

    /// <summary>From the same noise: told nothing, the digit, the digit and that it is blue, and that it is bold besides.</summary>
    private static Tensor Told(TrainedRun run, SamplingConfig how, StudyContext context)
    {
        const string Any = "any";
        (string? Digit, string Colour, string Style)[] rows = [(Any, Any, Any), (null, Any, Any), (null, "blue", Any), (null, "blue", "bold")];
        return Tensor.Concat([.. rows.Select(row =>
        {
            var told = new Dictionary<string, string> { ["colour"] = row.Colour, ["style"] = row.Style };
            if (row.Digit is not null)
                told["digit"] = row.Digit;
            return run.Sample(how, 2, SilentReporter.Instance, stop: context.Stop, attributes: told).X;
        })]);
    }

    private static System.Text.Json.Nodes.JsonObject ByName(ITrainingData data, double[] values) =>
        new(data.LabelKinds.Zip(values, (kind, value) => KeyValuePair.Create(kind.Name, (System.Text.Json.Nodes.JsonNode?)value)));
}
