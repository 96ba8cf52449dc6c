using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;

namespace RawDiffusion.Tests.Diffusion.Training;

/// <summary>Samples of a run led to a class by a classifier of noised images.</summary>
public sealed class ClassifierGuideTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>Even one that has hardly learned anything leads to what it takes for the class: its own gradient.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Samples_are_led_to_what_the_classifier_takes_for_their_class(bool conditional)
    {
        var run = Run(conditional);
        SampleSet plain = Sample(run, 0), led = Sample(run, 300);
        // Classes take turns also where the network itself is told none.
        int[] labels = [.. Enumerable.Range(0, 12).Select(i => i % 10)];
        Assert.Equal(labels, led.Labels!.ToInt32Array());
        if (!conditional)
            Assert.Null(plain.Labels);
        var guide = ClassifierGuide.For(
            run.Config with { Sampling = run.Config.Sampling with { ClassifierGuidance = 1 } }, run.Model, NoData, run.Folder, run.Device, SilentReporter.Instance, default)!;
        Assert.True(LogProbability(guide, run, led.X, labels) > LogProbability(guide, run, plain.X, labels) + 0.01);
    }

    [Fact]
    public void The_classifier_is_trained_once_and_kept_in_the_run()
    {
        var run = Run(conditional: false);
        string kept = Path.Combine(run.Folder, ClassifierGuide.FolderName);
        Sample(run, 0);
        Assert.False(Directory.Exists(kept));
        float[] first = Sample(run, 3).X.ToArray();
        Assert.True(Directory.Exists(kept));
        // Without its data the run could not train another.
        Directory.Delete(_folder["data"], recursive: true);
        Assert.Equal(first, Sample(TrainedRun.Open(run.Folder, Device.Cpu), 3).X.ToArray());
    }

    [Fact]
    public void A_training_that_ends_with_guided_samples_has_them_judged_by_their_classes()
    {
        var run = Run(conditional: false, guidance: 3);
        Assert.Contains("\"rightShare\"", File.ReadAllText(Path.Combine(run.Folder, "metrics.json")));
        // A column for each class, of images twice as large with two pixels between, and as many samples as fill eight rows.
        Assert.Equal(10 * (2 * 28 + 2) + 2, Png.Load(Path.Combine(run.Folder, "samples", "step-2.png")).Width);
        Assert.Equal((80, 64), (Pictures.Count(run.Model, run.Config), Pictures.Count(run.Model, run.Config with { Sampling = run.Config.Sampling with { ClassifierGuidance = 0 } })));
    }

    [Fact]
    public void It_leads_to_a_class_not_to_any()
    {
        var run = Run(conditional: true);
        var any = new Dictionary<string, string> { [run.Model.LabelKinds[0].Name] = "any" };
        Assert.Contains("any was asked for", Assert.Throws<ConfigException>(
            () => run.Sample(run.Config.Sampling with { ClassifierGuidance = 2 }, 1, SilentReporter.Instance, attributes: any)).Message);
    }

    private static ITrainingData NoData() => throw new InvalidOperationException("the classifier is there");

    private static SampleSet Sample(TrainedRun run, double scale) => run.Sample(
        run.Config.Sampling with { ClassifierGuidance = scale, ClipX0 = null, Guidance = 1, Steps = 5, Count = 12 }, 4, SilentReporter.Instance);

    /// <summary>Mean ln p(class | samples) of nearly clean samples.</summary>
    private static double LogProbability(ClassifierGuide guide, TrainedRun run, Tensor x, int[] labels)
    {
        using var noGrad = new NoGrad();
        double time = run.Model.Process.NetworkTime(1.0 / DiscreteSchedule.DefaultSteps);
        return -F.CrossEntropy(guide.Network(x, Tensor.Full([labels.Length], time, x.Device)), Tensor.From(labels, [labels.Length], x.Device)).Item();
    }

    private TrainedRun Run(bool conditional, double guidance = 0)
    {
        string interval = guidance == 0 ? "null" : "[0.1, 30]";
        TinyMnist.Write(_folder["data"]);
        var config = TinyRun.Images(_folder["data"]).With(TinyRun.Json($$"""
            { "model": { "conditional": {{(conditional ? "true" : "false")}} }, "sampling": { "guidance": 1, "classifierGuidance": {{guidance}}, "guidanceInterval": {{interval}} }, "training": { "steps": 2, "sampleEvery": 1 } }
            """));
        TinyRun.Start(config, _folder["run"]);
        return TrainedRun.Open(_folder["run"], Device.Cpu);
    }
}
