using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace RawDiffusion.IO;

/// <summary>What a safetensors header says about one tensor.</summary>
/// <param name="Name">Its name, any string.</param>
/// <param name="DType">The format's name of its element type, such as "F32".</param>
/// <param name="Shape">Extent along each axis.</param>
/// <param name="Offset">First byte, counted from the end of the header.</param>
/// <param name="Length">Number of bytes.</param>
public sealed record SafetensorsEntry(string Name, string DType, IReadOnlyList<long> Shape, long Offset, long Length)
{
    /// <summary>Number of elements.</summary>
    public long Count
    {
        get
        {
            long count = 1;
            foreach (long extent in Shape)
                count *= extent;
            return count;
        }
    }
}

/// <summary>
/// The JSON header of a safetensors file: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
/// "__metadata__": {"key": "text"}}. The parser accepts that and nothing else, since a file that two programs read
/// differently is worse than one that is refused.
/// </summary>
internal sealed class SafetensorsHeader
{
    public const int LengthBytes = 8;
    public const long LongestHeader = 100_000_000;
    public const string MetadataKey = "__metadata__";

    // The object of all tensors, a tensor's object, its shape: nothing in a header is deeper.
    private const int DeepestNesting = 3;

    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly string _path;

    private SafetensorsHeader(string path) => _path = path;

    /// <summary>In the order of their data.</summary>
    public List<SafetensorsEntry> Entries { get; } = [];

    public Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    /// <summary>Bytes of one element of a type of the format, or 0 if there is no such type.</summary>
    public static int ElementSize(string dtype) => dtype switch
    {
        "BOOL" or "U8" or "I8" or "F8_E4M3" or "F8_E5M2" or "F8_E8M0" => 1,
        "U16" or "I16" or "F16" or "BF16" => 2,
        "U32" or "I32" or "F32" => 4,
        "U64" or "I64" or "F64" or "C64" => 8,
        _ => 0,
    };

    /// <summary>Whether these first bytes of a file are a length that a header can have, and the begin of a header.</summary>
    public static bool IsSafetensors(ReadOnlySpan<byte> begin) =>
        begin.Length > LengthBytes && begin[LengthBytes] == '{' && BinaryPrimitives.ReadUInt64LittleEndian(begin) <= LongestHeader;

    /// <param name="json">The header without its length.</param>
    /// <param name="dataLength">Number of bytes after the header.</param>
    /// <exception cref="FileFormatException">The header is malformed or does not fit the data.</exception>
    public static SafetensorsHeader Parse(string path, ReadOnlySpan<byte> json, long dataLength)
    {
        var header = new SafetensorsHeader(path);
        if (json.IsEmpty || json[0] != '{')
            throw header.Malformed("the header does not begin with '{'; this is no safetensors file");
        if (!Utf8.IsValid(json))
            throw header.Malformed("the header is not valid UTF-8");
        json = json.TrimEnd((byte)' ');
        if (json[^1] != '}')
            throw header.Malformed("the header does not end with '}' and padding of spaces");
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = DeepestNesting });
            header.ReadRoot(ref reader);
        }
        catch (JsonException e)
        {
            throw new FileFormatException(path, $"the header is not valid JSON ({FileFormatException.Describe(e)})", e);
        }
        catch (InvalidOperationException e)
        {
            // Utf8JsonReader.GetString on an escape such as \ud800 that is half a character.
            throw new FileFormatException(path, "the header holds a string that is not valid Unicode", e);
        }
        header.CheckCoverage(dataLength);
        return header;
    }

    private void ReadRoot(ref Utf8JsonReader reader)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            if (!names.Add(name))
                throw Malformed($"the header names {FileFormatException.Quote(name)} twice");
            reader.Read();
            if (name == MetadataKey)
                ReadMetadata(ref reader);
            else
                Entries.Add(ReadEntry(ref reader, name));
        }
        // Any further token is an error that the JSON reader itself reports.
        reader.Read();
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Malformed("__metadata__ is not an object of strings");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw Malformed($"__metadata__ {FileFormatException.Quote(key)} is not a string");
            if (!Metadata.TryAdd(key, reader.GetString()!))
                throw Malformed($"__metadata__ names {FileFormatException.Quote(key)} twice");
        }
    }

    private SafetensorsEntry ReadEntry(ref Utf8JsonReader reader, string name)
    {
        string quoted = FileFormatException.Quote(name);
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Malformed($"the entry of tensor {quoted} is not an object");
        string? dtype = null;
        List<long>? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string field = reader.GetString()!;
            reader.Read();
            bool repeated;
            switch (field)
            {
                case "dtype":
                    repeated = dtype is not null;
                    dtype = reader.TokenType == JsonTokenType.String
                        ? reader.GetString()
                        : throw Malformed($"the dtype of tensor {quoted} is not a string");
                    break;
                case "shape":
                    repeated = shape is not null;
                    shape = ReadIntegers(ref reader, $"the shape of tensor {quoted}");
                    break;
                case "data_offsets":
                    repeated = offsets is not null;
                    offsets = ReadIntegers(ref reader, $"data_offsets of tensor {quoted}");
                    break;
                default:
                    throw Malformed($"tensor {quoted} has the unknown field {FileFormatException.Quote(field)}");
            }
            if (repeated)
                throw Malformed($"tensor {quoted} has the field '{field}' twice");
        }
        if (dtype is null || shape is null || offsets is null)
            throw Malformed($"tensor {quoted} lacks its {(dtype is null ? "dtype" : shape is null ? "shape" : "data_offsets")}");
        int size = ElementSize(dtype);
        if (size == 0)
            throw Malformed($"tensor {quoted} has the unknown dtype {FileFormatException.Quote(dtype)}");
        if (offsets.Count != 2 || offsets[0] > offsets[1])
            throw Malformed($"data_offsets of tensor {quoted} are not a begin and an end");
        long length = offsets[1] - offsets[0];
        if (!TryByteCount(shape, size, out long expected) || expected != length)
        {
            string extents = string.Join(", ", shape.Take(8)) + (shape.Count > 8 ? ", ..." : "");
            throw Malformed($"tensor {quoted} of dtype {dtype} and shape [{extents}] does not fill {length} bytes");
        }
        return new SafetensorsEntry(name, dtype, shape, offsets[0], length);
    }

    private List<long> ReadIntegers(ref Utf8JsonReader reader, string what)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw Malformed($"{what} must be a list of non-negative integers");
        var integers = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long value) || value < 0)
                throw Malformed($"{what} must be a list of non-negative integers");
            integers.Add(value);
        }
        return integers;
    }

    private static bool TryByteCount(List<long> shape, int size, out long bytes)
    {
        bytes = 0;
        if (shape.Contains(0))
            return true;
        Int128 count = size;
        foreach (long extent in shape)
        {
            count *= extent;
            if (count > long.MaxValue)
                return false;
        }
        bytes = (long)count;
        return true;
    }

    private void CheckCoverage(long dataLength)
    {
        Entries.Sort(static (a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.Length.CompareTo(b.Length));
        long end = 0;
        foreach (var entry in Entries)
        {
            if (entry.Offset != end)
            {
                string fault = entry.Offset > end ? "leaves a hole before itself" : "overlaps the tensor before it";
                throw Malformed($"tensor {FileFormatException.Quote(entry.Name)} {fault}: it begins at byte {entry.Offset}, not {end}");
            }
            end += entry.Length;
        }
        if (end > dataLength)
            throw Malformed($"the file is cut short: its tensors need {end} bytes, {dataLength} are there");
        if (end < dataLength)
            throw Malformed($"{dataLength - end} bytes follow the last tensor");
    }

    private FileFormatException Malformed(string reason) => new(_path, reason);

    /// <summary>The header of a file to be written, with its length in front and padded so that the data begin at a multiple of 8.</summary>
    public static byte[] Format(IReadOnlyList<SafetensorsEntry> entries, IReadOnlyDictionary<string, string>? metadata)
    {
        using var buffer = new MemoryStream();
        buffer.Write(stackalloc byte[LengthBytes]);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                writer.WriteStartObject(MetadataKey);
                foreach (var (key, value) in metadata)
                    writer.WriteString(ExpectUnicode(key), ExpectUnicode(value));
                writer.WriteEndObject();
            }
            foreach (var entry in entries)
            {
                writer.WriteStartObject(ExpectUnicode(entry.Name));
                writer.WriteString("dtype", entry.DType);
                writer.WriteStartArray("shape");
                foreach (long extent in entry.Shape)
                    writer.WriteNumberValue(extent);
                writer.WriteEndArray();
                writer.WriteStartArray("data_offsets");
                writer.WriteNumberValue(entry.Offset);
                writer.WriteNumberValue(entry.Offset + entry.Length);
                writer.WriteEndArray();
                writer.WriteEndObject();
            }
            writer.WriteEndObject();
        }
        while (buffer.Length % 8 != 0)
            buffer.WriteByte((byte)' ');
        byte[] bytes = buffer.ToArray();
        long length = bytes.Length - LengthBytes;
        if (length > LongestHeader)
            throw new ArgumentException($"A safetensors header of {length} bytes is longer than the format allows ({LongestHeader}).");
        BinaryPrimitives.WriteInt64LittleEndian(bytes, length);
        return bytes;
    }

    /// <summary>A lone surrogate would be replaced silently, and two names might become one.</summary>
    private static string ExpectUnicode(string text)
    {
        try
        {
            s_strict.GetByteCount(text);
            return text;
        }
        catch (EncoderFallbackException e)
        {
            throw new ArgumentException($"{FileFormatException.Quote(text)} is not valid Unicode; no safetensors file can hold it.", e);
        }
    }
}
