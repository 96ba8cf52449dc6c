using System.Text.Json;
using System.Text.Json.Nodes;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>What the <c>metrics.json</c> of a study says: how it came out, of which code, where and when.</summary>
public sealed record StudyRecord
{
    public const string FileName = "metrics.json";

    public required string Study { get; init; }

    public string Lesson { get; init; } = "";

    public StudyState State { get; init; }

    /// <summary>What went wrong in a study that failed, or with the file itself.</summary>
    public string? Error { get; init; }

    public string Device { get; init; } = "";

    /// <summary><see cref="SourceVersion.Commit"/> when it was run.</summary>
    public string Commit { get; init; } = "";

    /// <summary>When it ended, in UTC.</summary>
    public string Date { get; init; } = "";

    /// <summary>Whether it was run in full, or with fewer samples and one seed.</summary>
    public bool Full { get; init; }

    public double Seconds { get; init; }

    public IReadOnlyList<Criterion> Criteria { get; init; } = [];

    /// <summary>What was tried, where a criterion was missed and the study has something to say of it.</summary>
    public string? Tried { get; init; }

    internal JsonObject ToJson(JsonNode numbers)
    {
        var json = new JsonObject
        {
            ["study"] = Study,
            ["lesson"] = Lesson,
            ["state"] = Name(State),
            ["device"] = Device,
            ["commit"] = Commit,
            ["date"] = Date,
            ["full"] = Full,
            ["seconds"] = Seconds,
            ["passed"] = State == StudyState.Finished && Criteria.All(criterion => criterion.Met),
            ["criteria"] = new JsonArray([.. Criteria.Select(c => (JsonNode)new JsonObject
            {
                ["what"] = c.What,
                ["measured"] = c.Measured,
                ["bound"] = c.Bound,
                ["met"] = c.Met,
            })]),
            ["numbers"] = numbers.DeepClone(),
        };
        if (Tried is not null)
            json.Insert(json.IndexOf("numbers"), "tried", Tried);
        if (Error is not null)
            json.Insert(3, "error", Error);
        return json;
    }

    /// <summary>Reads the record in a folder.</summary>
    /// <returns>
    /// Null where there is none, or one of something else than a study. A damaged file is a record of a study that failed: a table is not to
    /// be silent about it.
    /// </returns>
    public static StudyRecord? Read(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            return null;
        try
        {
            if (JsonNode.Parse(File.ReadAllText(path)) is not JsonObject json || json["study"] is null)
                return null;
            return new StudyRecord
            {
                Study = json["study"]!.GetValue<string>(),
                Lesson = Text(json, "lesson"),
                State = StateOf(Text(json, "state")),
                Error = json["error"]?.GetValue<string>(),
                Device = Text(json, "device"),
                Commit = Text(json, "commit"),
                Date = Text(json, "date"),
                Full = json["full"]?.GetValue<bool>() ?? false,
                Seconds = json["seconds"]?.GetValue<double>() ?? 0,
                Criteria = [.. (json["criteria"]?.AsArray() ?? []).Select(CriterionOf)],
                Tried = json["tried"]?.GetValue<string>(),
            };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException or FormatException or IOException or UnauthorizedAccessException)
        {
            string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
            return new StudyRecord { Study = name, State = StudyState.Failed, Error = $"{FileName} cannot be read: {e.Message}" };
        }
    }

    private static Criterion CriterionOf(JsonNode? json) => json is JsonObject
        ? new Criterion(Text(json, "what"), Text(json, "measured"), Text(json, "bound"), json["met"]?.GetValue<bool>() ?? false)
        : throw new FormatException("a criterion is no object");

    private static string Text(JsonNode json, string key) => json[key]?.GetValue<string>() ?? "";

    private static string Name(StudyState state) => state switch
    {
        StudyState.Running => "running",
        StudyState.Stopped => "stopped",
        StudyState.Failed => "failed",
        _ => "finished",
    };

    private static StudyState StateOf(string name) => Enum.GetValues<StudyState>().FirstOrDefault(state => Name(state) == name, StudyState.Failed);
}
