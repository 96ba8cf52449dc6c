using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>One lesson of the theory: something measured against what is known exactly, with pictures and a verdict.</summary>
public abstract class Study
{
    /// <summary>As on the command line: <c>samplers</c>.</summary>
    public abstract string Name { get; }

    /// <summary>What it shows, in a sentence.</summary>
    public abstract string Lesson { get; }

    /// <summary>Whether it needs handwritten digits and trains networks of images, which takes minutes and not seconds.</summary>
    public virtual bool NeedsImages => false;

    /// <summary>Makes the measurements and tells the context of them.</summary>
    public abstract void Run(StudyContext context);

    /// <summary>Runs it and writes <c>metrics.json</c> beside its figures.</summary>
    /// <param name="folder">Made if it is not there.</param>
    public StudyResult Run(string folder, StudySettings settings)
    {
        Directory.CreateDirectory(folder);
        var context = new StudyContext(folder, settings);
        var clock = Stopwatch.StartNew();
        Run(context);
        var result = new StudyResult(Name, Lesson, clock.Elapsed, context.Criteria);
        context.Save(this, result);
        return result;
    }
}

/// <summary>How studies are run.</summary>
public sealed record StudySettings
{
    public Backend Device { get; init; } = RawDiffusion.Device.Cpu;

    public IRunReporter Reporter { get; init; } = SilentReporter.Instance;

    /// <summary>Fewer samples, steps and seeds, to see whether everything works; the criteria stay.</summary>
    public bool Quick { get; init; }

    /// <summary>Where trained networks of images are kept for the other studies; null for <c>models</c> beside the study's folder.</summary>
    public string? ModelsFolder { get; init; }

    /// <summary>The folder with the files of MNIST; null for the cache folder, where what is missing is downloaded.</summary>
    public string? DataDirectory { get; init; }

    /// <summary>Files that are not there are not downloaded.</summary>
    public bool Offline { get; init; }

    public CancellationToken Stop { get; init; }
}

/// <summary>A line of a verdict.</summary>
/// <param name="What">What was asked.</param>
/// <param name="Measured">What came out, with its unit.</param>
/// <param name="Bound">What was to be reached.</param>
/// <param name="Met">Whether it was.</param>
public sealed record Criterion(string What, string Measured, string Bound, bool Met);

/// <summary>How a study came out.</summary>
public sealed record StudyResult(string Name, string Lesson, TimeSpan Elapsed, IReadOnlyList<Criterion> Criteria)
{
    public bool Passed => Criteria.All(criterion => criterion.Met);
}

/// <summary>What a study works with, and where it leaves what it finds.</summary>
public sealed class StudyContext(string folder, StudySettings settings)
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true };

    private readonly List<Criterion> _criteria = [];
    private readonly JsonObject _numbers = [];

    public Backend Device => settings.Device;

    public IRunReporter Reporter => settings.Reporter;

    /// <summary>Networks of images, trained once for all studies.</summary>
    public StudyModels Models { get; } = new(
        settings.ModelsFolder ?? Path.Combine(Path.GetDirectoryName(Path.GetFullPath(folder)) ?? folder, "models"), settings);

    /// <summary>The seeds that everything is repeated with.</summary>
    public IReadOnlyList<ulong> Seeds { get; } = settings.Quick ? [0] : [0, 1, 2];

    /// <summary>So many where the study runs in full, fewer otherwise.</summary>
    public int Count(int full, int reduced) => settings.Quick ? reduced : full;

    public IReadOnlyList<Criterion> Criteria => _criteria;

    /// <summary>To be called now and then.</summary>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public void ThrowIfStopped() => settings.Stop.ThrowIfCancellationRequested();

    /// <summary>Asks to stop.</summary>
    public CancellationToken Stop => settings.Stop;

    /// <summary>Notes a number, or several by the name of each.</summary>
    public void Number(string key, JsonNode value) => _numbers[key] = value;

    /// <summary>Saves a figure as NAME.png.</summary>
    public void Figure(string name, Figure figure) => figure.Save(Path.Combine(folder, name + ".png"));

    /// <summary>Judges: a number that is to be at most a bound.</summary>
    public void AtMost(string what, double measured, double bound) =>
        Judge(what, Text(measured), "<= " + Text(bound), measured <= bound);

    /// <summary>A number that is to be at least a bound.</summary>
    public void AtLeast(string what, double measured, double bound) =>
        Judge(what, Text(measured), ">= " + Text(bound), measured >= bound);

    /// <summary>A number that is to be near another.</summary>
    public void Near(string what, double measured, double expected, double by) =>
        Judge(what, Text(measured), Text(expected) + " +- " + Text(by), Math.Abs(measured - expected) <= by);

    public void Judge(string what, string measured, string bound, bool met)
    {
        _criteria.Add(new Criterion(what, measured, bound, met));
        Reporter.Line($"{(met ? "met" : "FAILED")}: {what}: {measured} ({bound})");
    }

    internal void Save(Study study, StudyResult result)
    {
        var json = new JsonObject
        {
            ["study"] = study.Name,
            ["lesson"] = study.Lesson,
            ["device"] = Device.Name,
            ["full"] = !settings.Quick,
            ["seconds"] = Math.Round(result.Elapsed.TotalSeconds, 1),
            ["passed"] = result.Passed,
            ["criteria"] = new JsonArray([.. result.Criteria.Select(c => (JsonNode)new JsonObject
            {
                ["what"] = c.What,
                ["measured"] = c.Measured,
                ["bound"] = c.Bound,
                ["met"] = c.Met,
            })]),
            ["numbers"] = _numbers,
        };
        AtomicFile.WriteAllText(Path.Combine(folder, "metrics.json"), json.ToJsonString(s_json) + "\n");
    }

    private static string Text(double value) => value.ToString("0.####", CultureInfo.InvariantCulture);
}
