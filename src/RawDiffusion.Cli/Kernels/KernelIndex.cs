using System.Text.RegularExpressions;
using RawDiffusion.Cuda;

namespace RawDiffusion.Cli.Kernels;

/// <summary>A kernel as its source declares it.</summary>
/// <param name="File">The file's name: <c>softmax.cu</c>.</param>
/// <param name="Description">One sentence: what stands before the kernel, in the table at the file's head, or before the function that it calls.</param>
/// <param name="Condition">The macro under which it is compiled, UNARY or BINARY: once for each operator. Null: always.</param>
internal sealed record KernelEntry(string File, string Name, string Description, string? Condition);

/// <summary>
/// Finds the kernels of a source without compiling it. Kernels are declared as <c>extern "C" __global__ void</c>, or made by a macro of the
/// file or its headers whose body is such a declaration.
/// </summary>
internal sealed partial class KernelIndex
{
    private readonly List<KernelEntry> _found = [];
    private readonly string _file;
    private readonly List<(Regex Name, string Text)> _table = [];
    private readonly Dictionary<string, string> _functions = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (string[] Parameters, string Body, string Comment)> _macros = new(StringComparer.Ordinal);

    public KernelIndex(KernelSource source)
    {
        _file = source.Name;
        string[] lines = Lines(source.Text);
        string[] head = [.. lines.TakeWhile(line => line.StartsWith("//", StringComparison.Ordinal))];
        About = FirstSentence(head.TakeWhile(line => line.Length > 2));
        foreach (string line in head)
            ReadTable(line);
        foreach (string line in source.Included().SelectMany(header => Lines(source.Headers[header])))
            ReadMacro(line, []);
        Read(lines, head.Length);
    }

    /// <summary>What the file computes: the first sentence of its head.</summary>
    public string About { get; }

    /// <summary>In the order of the text.</summary>
    public IReadOnlyList<KernelEntry> Kernels => _found;

    /// <summary>The lines of a text, those of a macro joined.</summary>
    private static string[] Lines(string text) => text.ReplaceLineEndings("\n").Replace("\\\n", " ").Split('\n');

    /// <returns>Whether the line defines a macro that makes kernels.</returns>
    private bool ReadMacro(string line, List<string> comment)
    {
        if (Macro().Match(line) is not { Success: true } macro)
            return false;
        string made = ExpandUses(macro.Groups[3].Value);
        if (!Kernel().IsMatch(made))
            return false;
        _macros[macro.Groups[1].Value] = (Split(macro.Groups[2].Value), made, FirstSentence(comment));
        return true;
    }

    private void Read(string[] lines, int first)
    {
        var comment = new List<string>();
        string? condition = null;
        for (int i = first; i < lines.Length; i++)
        {
            string line = lines[i];
            if (line.StartsWith("//", StringComparison.Ordinal))
            {
                comment.Add(line);
                continue;
            }
            // A template's head stands between a function and its comment.
            if (line.StartsWith("template", StringComparison.Ordinal))
                continue;
            if (Condition().Match(line) is { Success: true } opened)
                condition = opened.Groups[1].Value;
            else if (line.StartsWith("#else", StringComparison.Ordinal) || line.StartsWith("#endif", StringComparison.Ordinal))
                condition = null;
            else if (ReadMacro(line, comment))
            {
                comment.Clear();
                continue;
            }
            else if (Use().Match(line) is { Success: true } use && _macros.TryGetValue(use.Groups[1].Value, out var expanded))
                Add(Expand(expanded.Body, expanded.Parameters, Split(use.Groups[2].Value)), FirstSentence(comment), expanded.Comment, condition);
            else if (Kernel().IsMatch(line))
                Add(string.Join(' ', lines.Skip(i).TakeWhile((text, at) => at == 0 || text != "}")), FirstSentence(comment), "", condition);
            else if (Function().Match(line) is { Success: true } function)
                _functions.TryAdd(function.Groups[1].Value, FirstSentence(comment));
            comment.Clear();
        }
    }

    /// <param name="text">One declaration with its body, or several.</param>
    private void Add(string text, string before, string ofMacro, string? condition)
    {
        text = Paste().Replace(text, "");
        var kernels = Kernel().Matches(text);
        for (int i = 0; i < kernels.Count; i++)
        {
            string name = kernels[i].Groups[1].Value;
            string body = text[kernels[i].Index..(i + 1 < kernels.Count ? kernels[i + 1].Index : text.Length)];
            string[] candidates = [before, OfTable(name), ofMacro, .. Called(body), About];
            _found.Add(new KernelEntry(_file, name, candidates.First(candidate => candidate.Length > 0 || candidate == About), condition));
        }
    }

    private IEnumerable<string> Called(string body) => Identifier().Matches(body[Math.Max(0, body.IndexOf('{'))..])
        .Select(match => _functions.GetValueOrDefault(match.Value, ""));

    private string OfTable(string name) => _table.Find(row => row.Name.IsMatch(name)).Text ?? "";

    /// <summary>Reads "//   name, other_*   what it does" of a file's head; a line may hold two such pairs.</summary>
    private void ReadTable(string line)
    {
        if (!line.StartsWith("//   ", StringComparison.Ordinal))
            return;
        foreach (Match row in Row().Matches(line))
        {
            foreach (string name in row.Groups["names"].Value.Split(", "))
                _table.Add((new Regex($"^{name.Replace("*", ".*")}$"), Columns().Replace(row.Groups["text"].Value.Trim(), ", ")));
        }
    }

    /// <summary>The body of a macro that is made of others.</summary>
    private string ExpandUses(string body)
    {
        foreach (var (name, (parameters, made, _)) in _macros)
            body = Regex.Replace(body, $@"\b{name}\(([^()]*)\)", use => Expand(made, parameters, Split(use.Groups[1].Value)));
        return body;
    }

    /// <summary>With values for parameters; what ## joins is left for <see cref="Add"/>, since the values may be parameters of another macro.</summary>
    private static string Expand(string body, string[] parameters, string[] values)
    {
        for (int i = 0; i < Math.Min(parameters.Length, values.Length); i++)
            body = Regex.Replace(body, $@"\b{parameters[i]}\b", values[i]);
        return body;
    }

    private static string[] Split(string list) => list.Split(',', StringSplitOptions.TrimEntries);

    private static string FirstSentence(IEnumerable<string> comment)
    {
        string text = string.Join(' ', comment.Select(line => line[2..].Trim()));
        return SentenceEnd().Split(text, 2)[0].Trim().TrimEnd('.', ':');
    }

    [GeneratedRegex("""extern "C" __global__ void (?:__launch_bounds__\((?:[^()]|\([^()]*\))*\)\s*)?([\w#]+)\s*\(""")]
    private static partial Regex Kernel();

    [GeneratedRegex(@"^#define\s+(\w+)\(([^)]*)\)\s*(.*)$")]
    private static partial Regex Macro();

    [GeneratedRegex(@"^(\w+)\(([^()]*)\)\s*;?\s*$")]
    private static partial Regex Use();

    [GeneratedRegex(@"^__device__ .*?(\w+)\(")]
    private static partial Regex Function();

    [GeneratedRegex(@"^#(?:if|elif)\s+defined\((\w+)\)")]
    private static partial Regex Condition();

    [GeneratedRegex(@"(?<names>[a-z0-9]+(?:_[a-z0-9*]+)+(?:, [a-z0-9]+(?:_[a-z0-9*]+)+)*)\s{2,}(?<text>.*?)(?=\s{3,}[a-z0-9]+_[a-z0-9_*]+\s|$)", RegexOptions.ExplicitCapture)]
    private static partial Regex Row();

    [GeneratedRegex(@"(?<=\S)(?<!\bal|\be\.g|\bi\.e)\. ")]
    private static partial Regex SentenceEnd();

    [GeneratedRegex(@"\s{3,}")]
    private static partial Regex Columns();

    [GeneratedRegex(@"\w+")]
    private static partial Regex Identifier();

    [GeneratedRegex(@"\s*##\s*")]
    private static partial Regex Paste();
}
