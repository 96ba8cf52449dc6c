using System.Globalization;
using System.Text.Json;

namespace RawDiffusion.IO;

public enum FileKind
{
    Safetensors,
    Png,
    Idx,
    GzipIdx,
    Json,
}

/// <summary>
/// What is in a file of a kind that this library reads, as a few facts and a table, ready to be shown: names and texts from the
/// file have no control characters. The kind is told by the first bytes; only where they say nothing, by the name.
/// </summary>
/// <param name="Description">The kind in words.</param>
/// <param name="Facts">What holds for the whole file.</param>
/// <param name="Columns">Headings of the table; empty where the kind has none.</param>
/// <param name="Rows">The table, each row as long as the headings.</param>
public sealed record FileSummary(
    string Path, FileKind Kind, string Description, IReadOnlyList<(string Name, string Value)> Facts,
    IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<string>> Rows)
{
    private const int LongestJson = 1 << 24;
    private const int LongestText = 100;

    /// <summary>Reads a file: a safetensors file's header, and all of any other.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">The file is damaged, or of no kind that is read here.</exception>
    public static FileSummary Read(string path)
    {
        if (Directory.Exists(path))
            throw new FileFormatException(path, "this is a folder, not a file");
        return Tell(path) switch
        {
            FileKind.Safetensors => ReadSafetensors(path),
            FileKind.Png => ReadPng(path),
            FileKind.Json => ReadJson(path),
            var kind => ReadIdx(path, kind),
        };
    }

    private static FileKind Tell(string path)
    {
        Span<byte> buffer = stackalloc byte[16];
        long size;
        using (var file = new FileStream(path, FileMode.Open, FileAccess.Read))
        {
            size = file.Length;
            buffer = buffer[..file.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false)];
        }
        ReadOnlySpan<byte> begin = buffer;
        if (begin.StartsWith(Png.Signature[..4]))
            return FileKind.Png;
        if (GzipReader.IsGzip(begin))
            return FileKind.GzipIdx;
        if (SafetensorsHeader.IsSafetensors(begin))
            return FileKind.Safetensors;
        if (Idx.IsIdx(begin))
            return FileKind.Idx;
        if (begin.TrimStart(" \t\r\n"u8) is [(byte)'{', ..])
            return FileKind.Json;
        return System.IO.Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".safetensors" => FileKind.Safetensors,
            ".png" => FileKind.Png,
            ".json" => FileKind.Json,
            _ when size == 0 => throw new FileFormatException(path, "it is empty"),
            _ => throw new FileFormatException(
                path, $"it begins with {Convert.ToHexString(begin[..Math.Min(8, begin.Length)])}; this is no safetensors, PNG, IDX or JSON file"),
        };
    }

    private static FileSummary ReadSafetensors(string path)
    {
        using var file = Safetensors.Load(path);
        List<(string, string)> facts =
        [
            ("tensors", Number(file.Entries.Count)),
            ("elements", Number(file.Entries.Sum(static entry => entry.Count))),
            ("bytes of data", Number(file.Entries.Sum(static entry => entry.Length))),
        ];
        foreach (var group in file.Entries.GroupBy(static entry => entry.DType).OrderBy(static group => group.Key, StringComparer.Ordinal))
            facts.Add(($"tensors of {group.Key}", Number(group.Count())));
        foreach (var (key, value) in file.Metadata)
            facts.Add(($"metadata {Text(key)}", Text(value)));
        string[][] rows = [.. file.Entries.Select(static entry => (string[])
            [Text(entry.Name), entry.DType, $"[{string.Join(", ", entry.Shape)}]", Number(entry.Count), Number(entry.Length)])];
        return new FileSummary(path, FileKind.Safetensors, "safetensors", facts, ["tensor", "dtype", "shape", "elements", "bytes"], rows);
    }

    private static FileSummary ReadPng(string path)
    {
        var picture = Png.Load(path);
        string color = picture.Color switch
        {
            PngColor.Grey => "grey",
            PngColor.GreyAlpha => "grey with alpha",
            PngColor.Rgb => "RGB",
            _ => "RGBA",
        };
        return new FileSummary(
            path, FileKind.Png, "PNG picture", [("width", Number(picture.Width)), ("height", Number(picture.Height)), ("colour", color)], [], []);
    }

    private static FileSummary ReadIdx(string path, FileKind kind)
    {
        var idx = Idx.Load(path);
        List<(string, string)> facts = [("extents", string.Join(" x ", idx.Extents)), ("values", Number(idx.Values.Length))];
        if (idx.Values.Length > 0)
            facts.Add(("least and greatest", $"{idx.Values.Min()} and {idx.Values.Max()}"));
        return new FileSummary(path, kind, kind == FileKind.Idx ? "IDX (MNIST's format)" : "IDX (MNIST's format) compressed by gzip", facts, [], []);
    }

    private static FileSummary ReadJson(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read);
        if (file.Length > LongestJson)
            throw new FileFormatException(path, $"it has {file.Length} bytes; JSON of up to {LongestJson} is read");
        try
        {
            using var document = JsonDocument.Parse(file, new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new FileFormatException(path, "its JSON is not an object");
            string description = "JSON";
            var rows = new List<string[]>();
            foreach (var field in document.RootElement.EnumerateObject())
            {
                // Diffusers' and others' model folders say with it what their config.json configures.
                if (field.NameEquals("_class_name") && field.Value.ValueKind == JsonValueKind.String)
                    description = $"configuration of a {Text(field.Value.GetString()!)}";
                rows.Add([Text(field.Name), field.Value.ValueKind == JsonValueKind.String ? Text(field.Value.GetString()!) : Text(field.Value.GetRawText())]);
            }
            return new FileSummary(path, FileKind.Json, description, [], ["field", "value"], rows);
        }
        catch (JsonException e)
        {
            throw new FileFormatException(path, $"it is not valid JSON ({FileFormatException.Describe(e)})", e);
        }
        catch (InvalidOperationException e)
        {
            // An escape such as \ud800 that is half a character.
            throw new FileFormatException(path, "it holds a string that is not valid Unicode", e);
        }
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Text(string text)
    {
        string line = FileFormatException.OneLine(text);
        return line.Length > LongestText ? line[..LongestText] + "..." : line;
    }
}
