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

    /// <summary>For a study that misses a criterion: what was tried to meet it, and why it may be missed; null where there is nothing to say.</summary>
    public virtual string? Tried => null;

    /// <summary>Makes the measurements and tells the context of them.</summary>
    public abstract void Run(StudyContext context);

    /// <summary>
    /// Runs it and writes <c>metrics.json</c> beside its figures. The file is there from the beginning: of a study that does not come to its
    /// end it says so, and what was measured until then.
    /// </summary>
    /// <param name="folder">Made if it is not there.</param>
    /// <exception cref="IOException">The folder holds the <c>metrics.json</c> of a run or of another study.</exception>
    /// <exception cref="OperationCanceledException">It was asked to stop.</exception>
    public StudyResult Run(string folder, StudySettings settings)
    {
        ExpectOwn(folder);
        Directory.CreateDirectory(folder);
        var context = new StudyContext(folder, settings);
        var clock = Stopwatch.StartNew();
        context.Save(this, StudyState.Running, clock.Elapsed);
        try
        {
            Run(context);
        }
        catch (Exception e)
        {
            bool stopped = e is OperationCanceledException && settings.Stop.IsCancellationRequested;
            context.Save(this, stopped ? StudyState.Stopped : StudyState.Failed, clock.Elapsed, stopped ? null : e.Message);
            throw;
        }
        var result = new StudyResult(Name, Lesson, clock.Elapsed, context.Criteria);
        context.Save(this, StudyState.Finished, clock.Elapsed);
        return result;
    }

    private void ExpectOwn(string folder)
    {
        if (!File.Exists(Path.Combine(folder, StudyRecord.FileName)))
            return;
        var there = StudyRecord.Read(folder);
        if (there is null)
            throw new IOException($"{folder}: the {StudyRecord.FileName} in it is of a run or of something else, and the study {Name} would replace it; choose another folder");
        if (there.Study != Name && there.State == StudyState.Finished)
            throw new IOException($"{folder}: the study {there.Study} is in it, which {Name} would replace; choose another folder");
    }
}

/// <summary>How far a study came.</summary>
public enum StudyState
{
    /// <summary>It is being run, or its process was ended on the way.</summary>
    Running,

    /// <summary>It was asked to stop.</summary>
    Stopped,

    /// <summary>Something went wrong; it is said what.</summary>
    Failed,

    /// <summary>It came to its end, whatever its criteria say.</summary>
    Finished,
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
/// <param name="Error">What went wrong, where it did not come to its end.</param>
public sealed record StudyResult(string Name, string Lesson, TimeSpan Elapsed, IReadOnlyList<Criterion> Criteria, string? Error = null)
{
    public bool Passed => Error is null && Criteria.All(criterion => criterion.Met);
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

    /// <summary>Notes a number, or several by the name of each. One that is not finite is noted as a text: JSON has no others.</summary>
    public void Number(string key, JsonNode value) => _numbers[key] = Writable(value);

    /// <summary>Notes what was measured at each of several settings: an object with a member for each.</summary>
    public void Numbers(string key, IEnumerable<double> at, IEnumerable<double> values) => Number(
        key, new JsonObject(at.Zip(values, (setting, value) => KeyValuePair.Create(setting.ToString("0.####", CultureInfo.InvariantCulture), (JsonNode?)value))));

    /// <summary>Saves a figure as NAME.png.</summary>
    public void Figure(string name, Figure figure) => figure.Save(Path.Combine(folder, name + ".png"));

    /// <summary>Saves images [n, height, width, channels] as NAME.png.</summary>
    public void Images(string name, Tensor images, ImageGrid grid) => grid.Save(images, Path.Combine(folder, name + ".png"));

    /// <summary>Judges: a number that is to be at most a bound.</summary>
    public void AtMost(string what, double measured, double bound) =>
        Judge(what, Text(measured), "<= " + Text(bound), measured <= bound);

    /// <summary>A number that is to be at least a bound.</summary>
    public void AtLeast(string what, double measured, double bound) =>
        Judge(what, Text(measured), ">= " + Text(bound), measured >= bound);

    /// <summary>A number that is to be more than a bound.</summary>
    public void Above(string what, double measured, double bound) =>
        Judge(what, Text(measured), "> " + Text(bound), measured > bound);

    /// <summary>A number that is to be near another.</summary>
    public void Near(string what, double measured, double expected, double by) =>
        Judge(what, Text(measured), Text(expected) + " +- " + Text(by), Math.Abs(measured - expected) <= by);

    /// <summary>Two numbers side by side, without a bound: they are stated, whatever they are.</summary>
    public void Beside(string what, double one, double other) => Judge(
        what, FormattableString.Invariant($"{one:0.###} beside {other:0.###}"), "stated", double.IsFinite(one) && double.IsFinite(other));

    public void Judge(string what, string measured, string bound, bool met)
    {
        _criteria.Add(new Criterion(what, measured, bound, met));
        Reporter.Line($"{(met ? "met" : "FAILED")}: {what}: {measured} ({bound})");
    }

    internal void Save(Study study, StudyState state, TimeSpan elapsed, string? error = null)
    {
        var record = new StudyRecord
        {
            Study = study.Name,
            Lesson = study.Lesson,
            State = state,
            Error = error,
            Device = Device.Name,
            Commit = SourceVersion.Commit,
            Date = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture),
            Full = !settings.Quick,
            Seconds = Math.Round(elapsed.TotalSeconds, 1),
            Criteria = _criteria,
            Tried = _criteria.All(criterion => criterion.Met) ? null : study.Tried,
        };
        AtomicFile.WriteAllText(Path.Combine(folder, StudyRecord.FileName), record.ToJson(_numbers).ToJsonString(s_json) + "\n");
    }

    private static JsonNode? Writable(JsonNode? node) => node switch
    {
        JsonObject members => new JsonObject(members.Select(member => KeyValuePair.Create(member.Key, Writable(member.Value)))),
        JsonArray items => new JsonArray([.. items.Select(Writable)]),
        JsonValue value when value.TryGetValue(out double number) && !double.IsFinite(number) => number.ToString(CultureInfo.InvariantCulture),
        _ => node?.DeepClone(),
    };

    // Four decimals, and digits where those would be zeros.
    private static string Text(double value) =>
        value.ToString(value != 0 && Math.Abs(value) < 1e-3 ? "0.##e-0" : "0.####", CultureInfo.InvariantCulture);
}
