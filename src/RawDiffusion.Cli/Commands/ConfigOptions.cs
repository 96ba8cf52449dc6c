using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Cli.Commands;

/// <summary>
/// Options that stand for keys of <c>config.json</c>. What the user gave becomes an overlay on a configuration; the defaults that
/// <c>--help</c> shows are those of a preset.
/// </summary>
internal sealed class ConfigOptions
{
    private readonly Command _command;
    private readonly JsonObject? _defaults;
    private readonly List<(Option Option, string Key, Func<ParseResult, JsonNode?> Value)> _options = [];

    /// <param name="defaults">The configuration that the command begins with; null where it depends on what the user says.</param>
    public ConfigOptions(Command command, RunConfig? defaults) => (_command, _defaults) = (command, defaults?.ToJson());

    /// <summary>Adds an option with a value.</summary>
    /// <param name="name">Without the dashes.</param>
    /// <param name="key">The place in <c>config.json</c>: <c>training.steps</c>.</param>
    /// <param name="showDefault">Whether the help shows what the preset has; not where the command itself decides.</param>
    public ConfigOptions Add<T>(string name, string key, string description, bool showDefault = true)
    {
        var option = new Option<T>($"--{name}") { Description = description };
        if (showDefault && Find(_defaults, key) is { } value)
            option.DefaultValueFactory = _ => value.GetValue<T>();
        Add(option, key, parsed => ToJson(parsed.GetValue(option)));
        return this;
    }

    /// <summary>Adds an option whose value is numbers with commas between them, a list in <c>config.json</c>.</summary>
    /// <exception cref="ArgumentException">On parsing: a part is no number.</exception>
    public ConfigOptions AddNumbers(string name, string key, string description)
    {
        var option = new Option<string>($"--{name}") { Description = description };
        Add(option, key, parsed => new JsonArray([.. parsed.GetValue(option)!.Split(',').Select(part => ToJson(Number(name, part, "0.3,3")))]));
        return this;
    }

    /// <summary>Adds an option whose value is names with a number each, an object in <c>config.json</c>.</summary>
    /// <exception cref="ArgumentException">On parsing: a part is no name with a number.</exception>
    public ConfigOptions AddScales(string name, string key, string description)
    {
        const string Example = "colour=3,style=1.5";
        var option = new Option<string>($"--{name}") { Description = description };
        Add(option, key, parsed =>
        {
            var scales = new JsonObject();
            foreach (var (of, value) in NamedValues.Read(name, parsed.GetValue(option)!.Split(','), Example))
                scales[of] = ToJson(Number(name, value, Example));
            return scales;
        });
        return this;
    }

    /// <summary>Adds an option without a value, which sets its key to true.</summary>
    public ConfigOptions AddFlag(string name, string key, string description)
    {
        Add(new Option<bool>($"--{name}") { Description = description }, key, _ => JsonValue.Create(true));
        return this;
    }

    /// <summary>What the user gave, in the form of <c>config.json</c>.</summary>
    public JsonObject Given(ParseResult parsed)
    {
        var overlay = new JsonObject();
        foreach (var (option, key, value) in _options)
        {
            if (parsed.GetResult(option) is not { Implicit: false })
                continue;
            var target = overlay;
            string[] path = key.Split('.');
            foreach (string section in path[..^1])
                target = (JsonObject)(target[section] ??= new JsonObject());
            target[path[^1]] = value(parsed);
        }
        return overlay;
    }

    /// <summary>The first option that the user gave whose value in one configuration is not that in another; null where there is none.</summary>
    public string? FirstChanged(ParseResult parsed, RunConfig wanted, RunConfig used)
    {
        JsonObject before = wanted.ToJson(), after = used.ToJson();
        return _options.Find(o => parsed.GetResult(o.Option) is { Implicit: false } && !JsonNode.DeepEquals(Find(before, o.Key), Find(after, o.Key))).Option?.Name;
    }

    /// <summary>Runs an action; a complaint about a key that the user gave as an option speaks of the option.</summary>
    public T Explain<T>(ParseResult parsed, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (ConfigException e) when (_options.Find(o => o.Key == e.Key).Option is { } option && parsed.GetResult(option) is { Implicit: false })
        {
            throw new ArgumentException(e.Describe(option.Name.TrimStart('-')), e);
        }
    }

    private static double Number(string option, string text, string example) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number)
            ? number
            : throw new ArgumentException($"--{option}: '{text}' is no number; expected something like {example}");

    private static JsonNode? ToJson<T>(T value) => value switch
    {
        // JSON has no number for these; the checks that refuse them tell the user more than a parser could.
        double.NaN or double.PositiveInfinity or double.NegativeInfinity => JsonValue.Create(FormattableString.Invariant($"{value}")),
        _ => JsonValue.Create(value),
    };

    private static JsonNode? Find(JsonObject? config, string key)
    {
        JsonNode? node = config;
        foreach (string part in key.Split('.'))
            node = node?[part];
        return node;
    }

    private void Add(Option option, string key, Func<ParseResult, JsonNode?> value)
    {
        _command.Options.Add(option);
        _options.Add((option, key, value));
    }
}
