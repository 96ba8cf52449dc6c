using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training.Configuration;

/// <summary>
/// JSON objects and records of settings. Reading is strict: an unknown key, a value of another type or a key given twice is an error
/// that names the key. Keys are the properties' names in camel case; a key that is left out keeps the property's default.
/// </summary>
internal static class StrictJson
{
    // No file of settings comes near either.
    private const long LargestFile = 1 << 20;
    private const int DeepestNesting = 16;

    private static readonly JsonSerializerOptions s_write = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    /// <summary>Reads the object that a file holds.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">It is too large, no JSON, or holds something else than an object.</exception>
    public static JsonObject ReadFile(string path)
    {
        if (Directory.Exists(path))
            throw new FileFormatException(path, "this is a folder, not a file of settings");
        if (!File.Exists(path))
            throw new FileNotFoundException($"{path}: there is no such file");
        if (new FileInfo(path).Length > LargestFile)
            throw new FileFormatException(path, $"it is larger than {LargestFile:N0} bytes; this is no file of settings");
        try
        {
            var options = new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = DeepestNesting };
            return JsonNode.Parse(File.ReadAllBytes(path), null, options) as JsonObject
                ?? throw new FileFormatException(path, "it holds no JSON object: {...} was expected");
        }
        catch (JsonException e)
        {
            string where = e.LineNumber is { } line ? $"it is no JSON at line {line + 1}, byte {e.BytePositionInLine + 1}" : "it is no JSON";
            throw new FileFormatException(path, $"{where}: {e.Message.Split(" LineNumber")[0].TrimEnd('.')}", e);
        }
    }

    /// <summary>Replaces a file by a record or object as indented JSON, whole or not at all.</summary>
    public static void WriteFile(string path, object value) =>
        AtomicFile.Write(path, stream => JsonSerializer.Serialize(stream, value, s_write));

    /// <summary>A record as an object; see <see cref="Read"/> for the way back.</summary>
    public static JsonObject ToObject(object value) => JsonSerializer.SerializeToNode(value, s_write)!.AsObject();

    /// <summary>Puts the values of <paramref name="overlay"/> over those of <paramref name="target"/>, object by object.</summary>
    private static void Merge(JsonObject target, JsonObject overlay)
    {
        foreach (var (key, value) in overlay)
        {
            if (value is JsonObject inner && target[key] is JsonObject existing)
                Merge(existing, inner);
            else
                target[key] = value?.DeepClone();
        }
    }

    /// <summary>A record with other values for some keys.</summary>
    /// <exception cref="ConfigException">A key is unknown or its value of the wrong type.</exception>
    public static T With<T>(T record, JsonObject overlay) where T : class
    {
        var merged = ToObject(record);
        Merge(merged, overlay);
        return Read<T>(merged);
    }

    /// <summary>Makes a record of a file.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">It does not hold such a record; the message names the file, the key and the reason.</exception>
    public static T Read<T>(string path) where T : class
    {
        try
        {
            return Read<T>(ReadFile(path));
        }
        catch (ConfigException e)
        {
            throw new FileFormatException(path, e.Message, e);
        }
    }

    /// <summary>Makes a record of an object.</summary>
    /// <exception cref="ConfigException">A key is unknown or its value of the wrong type.</exception>
    public static T Read<T>(JsonObject source) where T : class => (T)ReadObject(typeof(T), Reparse(source), "");

    // Values that were put in by code and values that came from a file look different inside a JsonNode; the text does not.
    private static JsonElement Reparse(JsonObject source) => JsonDocument.Parse(source.ToJsonString()).RootElement;

    private static object ReadObject(Type type, JsonElement source, string path)
    {
        if (source.ValueKind != JsonValueKind.Object)
            throw Wrong(path, "an object", source);
        object result = Activator.CreateInstance(type)!;
        var properties = type.GetProperties().Where(p => p.CanWrite).ToDictionary(p => JsonNamingPolicy.CamelCase.ConvertName(p.Name));
        foreach (var item in source.EnumerateObject())
        {
            string inner = path.Length == 0 ? item.Name : $"{path}.{item.Name}";
            if (!properties.TryGetValue(item.Name, out var property))
            {
                string place = path.Length == 0 ? "" : $" in {path}";
                throw new ConfigException(FileFormatException.Quote(item.Name), $"{place}; there are: {string.Join(", ", properties.Keys)}", "unknown key ");
            }
            property.SetValue(result, ReadValue(property, item.Value, inner));
        }
        return result;
    }

    private static object? ReadValue(PropertyInfo property, JsonElement value, string path)
    {
        if (value.ValueKind != JsonValueKind.Null)
            return ReadValue(property.PropertyType, value, path);
        bool nullable = Nullable.GetUnderlyingType(property.PropertyType) is not null
            || !property.PropertyType.IsValueType && new NullabilityInfoContext().Create(property).WriteState == NullabilityState.Nullable;
        return nullable ? null : throw new ConfigException(path, " must not be null");
    }

    private static object ReadValue(Type type, JsonElement value, string path)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type == typeof(string))
            return value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Wrong(path, "a text", value);
        if (type == typeof(bool))
            return value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(path, "true or false", value);
        if (type == typeof(int))
            return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) ? number : throw Wrong(path, "a whole number", value);
        if (type == typeof(long))
            return value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number) ? number : throw Wrong(path, "a whole number", value);
        if (type == typeof(ulong))
            return value.ValueKind == JsonValueKind.Number && value.TryGetUInt64(out ulong number) ? number : throw Wrong(path, "a whole number from 0 on", value);
        if (type == typeof(double))
            return ReadDouble(value) ?? throw Wrong(path, "a number", value);
        if (type.IsGenericType && type.GetGenericTypeDefinition() is var generic)
        {
            if (generic == typeof(IReadOnlyList<>))
                return ReadList(type.GetGenericArguments()[0], value, path);
            if (generic == typeof(IReadOnlyDictionary<,>))
                return ReadDictionary(type.GetGenericArguments()[1], value, path);
        }
        return ReadObject(type, value, path);
    }

    /// <summary>A number. NaN and the infinities are texts, because JSON has no numbers for them.</summary>
    private static double? ReadDouble(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Number => value.GetDouble(),
        JsonValueKind.String when value.GetString() is "NaN" or "Infinity" or "-Infinity" => double.Parse(value.GetString()!, CultureInfo.InvariantCulture),
        _ => null,
    };

    private static Array ReadList(Type element, JsonElement value, string path)
    {
        if (value.ValueKind != JsonValueKind.Array)
            throw Wrong(path, "a list", value);
        var list = Array.CreateInstance(element, value.GetArrayLength());
        for (int i = 0; i < list.Length; i++)
            list.SetValue(ReadValue(element, value[i], $"{path}[{i}]"), i);
        return list;
    }

    private static IDictionary ReadDictionary(Type element, JsonElement value, string path)
    {
        if (value.ValueKind != JsonValueKind.Object)
            throw Wrong(path, "an object", value);
        var dictionary = (IDictionary)Activator.CreateInstance(typeof(Dictionary<,>).MakeGenericType(typeof(string), element))!;
        foreach (var item in value.EnumerateObject())
            dictionary.Add(item.Name, ReadValue(element, item.Value, $"{path}.{item.Name}"));
        return dictionary;
    }

    private static ConfigException Wrong(string path, string expected, JsonElement value) =>
        new(path, $" must be {expected}, not {FileFormatException.Quote(value.GetRawText().ReplaceLineEndings(" "))}");
}
