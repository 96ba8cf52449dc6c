using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using RawDiffusion.IO;
using Xunit.Abstractions;

namespace RawDiffusion.Tests;

public sealed partial class SafetensorsFuzzTests(ITestOutputHelper output) : IDisposable
{
    private static readonly string[] s_dtypes =
        ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL", "C64", "F8_E4M3", "F8_E5M2", "F99", "f32", ""];

    /// <summary>Pieces that begin, end, nest or end too early what is around them.</summary>
    private static readonly string[] s_pieces =
    [
        "{", "}", "[", "]", "\"", ",", ":", "\\", "\\ud800", "null", "true", "-1", "1.5", "1e3", "/**/", "\u00e9", "\0", "[[[[", "{\"a\":{\"a\":{\"a\":{",
        "\"__metadata__\":{},", "\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},", "\"x\":1,",
    ];

    private static readonly (string Header, byte[] Data)[] s_whole = MakeWholeFiles();

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void DamagedFilesAreReadOrRefused() => Fuzz.Run(
        output, MakeDamaged, Read, Check, file => Fuzz.Slack + 16L * file.Length,
        "too few for a safetensors file", "longer than the format allows", "cut short: its header", "does not begin with '{'", "not valid UTF-8",
        "does not end with '}'", "not valid JSON", "not valid Unicode", "names 'a' twice", "is not an object", "is not a string", "lacks its",
        "unknown dtype", "unknown field", "list of non-negative integers", "not a begin and an end", "does not fill", "leaves a hole", "overlaps",
        "cut short: its tensors", "follow the last tensor", "twice", "__metadata__", "too much for 32 bits", "neither 0 nor 1", "which cannot be read",
        "too many for a tensor");

    /// <summary>Name and values of every tensor.</summary>
    private (string Name, double[] Values)[] Read(byte[] bytes)
    {
        string path = _folder["x"];
        // In place: some file systems hurry to the disk with a file that is emptied and written anew.
        using (var stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, bufferSize: 0))
        {
            stream.Write(bytes);
            stream.SetLength(bytes.Length);
        }
        using var file = Safetensors.Load(path);
        var tensors = new (string, double[])[file.Entries.Count];
        for (int i = 0; i < tensors.Length; i++)
        {
            var tensor = file.Read(file.Entries[i].Name, Device.Reference);
            tensors[i] = (file.Entries[i].Name, tensor.DType == DType.Int32 ? Array.ConvertAll(tensor.ToInt32Array(), n => (double)n) : tensor.ToDoubleArray());
        }
        return tensors;
    }

    /// <summary>Another JSON parser finds the same tensors, and other code the same numbers.</summary>
    private static void Check(byte[] file, (string Name, double[] Values)[] tensors)
    {
        int begin = 8 + BinaryPrimitives.ReadInt32LittleEndian(file);
        using var header = JsonDocument.Parse(file.AsMemory()[8..begin], new JsonDocumentOptions { AllowDuplicateProperties = false });
        Assert.Equal(header.RootElement.EnumerateObject().Count(field => field.Name != "__metadata__"), tensors.Length);
        int used = 0;
        foreach (var (name, values) in tensors)
        {
            var entry = header.RootElement.GetProperty(name);
            int count = entry.GetProperty("shape").EnumerateArray().Aggregate(1, (product, extent) => product * extent.GetInt32());
            Assert.Equal(count, values.Length);
            int from = entry.GetProperty("data_offsets")[0].GetInt32(), to = entry.GetProperty("data_offsets")[1].GetInt32();
            var data = file.AsSpan()[(begin + from)..(begin + to)];
            used += data.Length;
            for (int i = 0; i < count; i++)
                Assert.Equal(Number(entry.GetProperty("dtype").GetString()!, data[(data.Length / count * i)..]), values[i]);
        }
        Assert.Equal(file.Length - begin, used);
    }

    private static double Number(string dtype, ReadOnlySpan<byte> bytes) => dtype switch
    {
        "F64" => BinaryPrimitives.ReadDoubleLittleEndian(bytes),
        "F32" => BinaryPrimitives.ReadSingleLittleEndian(bytes),
        "F16" => (double)BinaryPrimitives.ReadHalfLittleEndian(bytes),
        "BF16" => BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadInt16LittleEndian(bytes) << 16),
        "I64" => BinaryPrimitives.ReadInt64LittleEndian(bytes),
        "U64" => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
        "I32" => BinaryPrimitives.ReadInt32LittleEndian(bytes),
        "U32" => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        "I16" => BinaryPrimitives.ReadInt16LittleEndian(bytes),
        "U16" => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        "I8" => (sbyte)bytes[0],
        "U8" or "BOOL" => bytes[0],
        _ => throw new ArgumentException($"{dtype} should not have been read."),
    };

    private static byte[] MakeDamaged(Random random)
    {
        var (header, data) = random.Pick<(string, byte[])>(s_whole);
        byte[] json = Encoding.UTF8.GetBytes(header);
        switch (random.Next(8))
        {
            case 0:
                return Damage.Bytes(random, Assemble(json, data));
            case 1:
                return Assemble(json, Damage.Bytes(random, data));
            case 2:
                return Assemble(Damage.Bytes(random, json), data);
            case 3:
                byte[] file = Assemble(json, data);
                BinaryPrimitives.WriteUInt64LittleEndian(file, random.Next(3) > 0 ? random.Extreme() : (ulong)random.Next(2 * file.Length));
                return file;
            default:
                for (int i = random.Next(1, 4); i > 0; i--)
                    header = DamageText(random, header);
                return Assemble(Encoding.UTF8.GetBytes(header), random.Next(4) > 0 ? data : Damage.Bytes(random, data));
        }
    }

    private static string DamageText(Random random, string header)
    {
        int at = random.Next(header.Length + 1);
        switch (random.Next(5))
        {
            case 0:
                return ReplaceOne(random, header, Numbers(), _ => random.Next(2) == 0
                    ? random.Extreme().ToString(CultureInfo.InvariantCulture)
                    : random.Next(30).ToString(CultureInfo.InvariantCulture));
            case 1:
                return ReplaceOne(random, header, DTypes(), _ => $"\"dtype\":\"{random.Pick<string>(s_dtypes)}\"");
            case 2:
                return header.Insert(at, random.Pick<string>(s_pieces));
            case 3:
                // A whole entry again, or in place of another.
                string entry = random.Pick([.. Entries().Matches(header).Select(match => match.Value), "\"b\":{}"]);
                return random.Next(2) == 0 ? header.Insert(1, entry + ",") : ReplaceOne(random, header, Entries(), _ => entry);
            default:
                // One name for another: of tensors, of fields.
                return ReplaceOne(random, header, Names(), _ => random.Pick("\"a\":", "\"b\":", "\"shape\":", "\"dtype\":", "\"data_offsets\":", "\"__metadata__\":"));
        }
    }

    private static string ReplaceOne(Random random, string text, Regex pattern, MatchEvaluator replacement)
    {
        int count = pattern.Count(text);
        if (count == 0)
            return text;
        int left = random.Next(count);
        return pattern.Replace(text, match => left-- == 0 ? replacement(match) : match.Value);
    }

    private static byte[] Assemble(byte[] header, byte[] data) => [.. BitConverter.GetBytes((long)header.Length), .. header, .. data];

    private static (string, byte[])[] MakeWholeFiles()
    {
        var random = new Random(1);
        var files = new List<(string, byte[])>();
        foreach (string dtype in s_dtypes[..^3])
        {
            int size = SafetensorsHeader.ElementSize(dtype), end = 6 * size;
            var data = new byte[end + 8];
            // Small integers in either order, so that those of 64 bits fit 32.
            for (int i = 0; i < data.Length; i++)
                data[i] = (byte)(i % size == 0 ? random.Next(2) : 0);
            string header = $$$"""
                {"a":{"dtype":"{{{dtype}}}","shape":[2,3],"data_offsets":[0,{{{end}}}]},"__metadata__":{"k":"v"},"b":{"dtype":"F32","shape":[2],"data_offsets":[{{{end}}},{{{end + 8}}}]}}
                """;
            files.Add((header, data));
        }
        files.Add(("""{"a":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]}}""", []));
        files.Add(("{}  ", []));
        return [.. files];
    }

    [GeneratedRegex("[0-9]+(?=[,\\]])")]
    private static partial Regex Numbers();

    [GeneratedRegex("\"dtype\":\"[^\"]*\"")]
    private static partial Regex DTypes();

    [GeneratedRegex("\"[^\"]*\":\\{[^{}]*\\}")]
    private static partial Regex Entries();

    [GeneratedRegex("\"[^\"]*\":")]
    private static partial Regex Names();
}
