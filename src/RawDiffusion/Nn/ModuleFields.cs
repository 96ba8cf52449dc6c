using System.Collections;
using System.Collections.Concurrent;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;

namespace RawDiffusion.Nn;

/// <summary>
/// Finds what a module holds: which fields of a type can contain parameters or modules is looked up once per type, and their
/// values are read anew on every walk, so that a list may grow after the first one.
/// </summary>
internal static class ModuleFields
{
    private static readonly ConcurrentDictionary<Type, Entry[]> s_entries = new();

    private readonly record struct Entry(FieldInfo Field, string Name);

    /// <summary>The parameters and modules directly held by <paramref name="module"/>, in the order of declaration, base class first.</summary>
    public static List<(string Name, object Value)> Children(Module module)
    {
        var children = new List<(string, object)>();
        foreach (var (field, name) in s_entries.GetOrAdd(module.GetType(), Inspect))
            AddValue(children, name, field.GetValue(module));
        return children;
    }

    /// <summary>A dotted path; either part may be empty.</summary>
    internal static string Join(string prefix, object name) =>
        prefix.Length == 0 ? $"{name}" : name is "" ? prefix : $"{prefix}.{name}";

    /// <summary><c>TimeEmbedding</c>, <c>_timeEmbedding</c> and <c>&lt;TimeEmbedding&gt;k__BackingField</c> all become <c>time_embedding</c>.</summary>
    internal static string SnakeCase(string memberName)
    {
        var source = Declared(memberName).AsSpan().TrimStart('_');
        var name = new StringBuilder();
        for (int i = 0; i < source.Length; i++)
        {
            bool startsWord = char.IsUpper(source[i]) && i > 0 && source[i - 1] != '_'
                && (!char.IsUpper(source[i - 1]) || i + 1 < source.Length && char.IsLower(source[i + 1]));
            if (startsWord)
                name.Append('_');
            name.Append(char.ToLowerInvariant(source[i]));
        }
        return name.ToString();
    }

    private static Entry[] Inspect(Type type)
    {
        var entries = new List<Entry>();
        for (var t = type; t is not null && t != typeof(Module); t = t.BaseType)
        {
            var fields = t.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly);
            Array.Sort(fields, static (a, b) => a.MetadataToken.CompareTo(b.MetadataToken));
            var ofType = new List<Entry>();
            foreach (var field in fields)
            {
                if (CanHold(field.FieldType))
                    ofType.Add(new Entry(field, NameOf(t, field)));
            }
            entries.InsertRange(0, ofType);
        }
        return [.. entries];
    }

    private static string NameOf(Type type, FieldInfo field)
    {
        MemberInfo member = field;
        if (field.IsDefined(typeof(CompilerGeneratedAttribute)))
        {
            const BindingFlags all = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
            member = (MemberInfo?)type.GetProperty(Declared(field.Name), all) ?? field;
        }
        return member.GetCustomAttribute<NameAttribute>()?.Name
            ?? field.GetCustomAttribute<NameAttribute>()?.Name
            ?? SnakeCase(field.Name);
    }

    /// <summary>The name in the source: a compiler-generated field carries it in angle brackets.</summary>
    private static string Declared(string name) =>
        name.StartsWith('<') && name.IndexOf('>') is > 1 and var end ? name[1..end] : name;

    private static bool CanHold(Type type)
    {
        if (type.IsArray)
            return CanHold(type.GetElementType()!);
        if (type == typeof(Parameter) || type.IsAssignableTo(typeof(Module)))
            return true;
        if (type == typeof(object) || type.IsAssignableTo(typeof(ITuple)))
            return true;
        // An interface or base class may turn out to be a module or a collection; what it is is seen on the walk.
        if (type.IsInterface || type == typeof(Tensor))
            return !type.IsGenericType || Array.Exists(type.GetGenericArguments(), CanHold);
        return type.IsAssignableTo(typeof(IEnumerable)) && Array.Exists(type.GetGenericArguments(), CanHold);
    }

    private static void AddValue(List<(string, object)> children, string name, object? value)
    {
        switch (value)
        {
            case Parameter or Module:
                children.Add((name, value));
                break;
            case IDictionary dictionary:
                foreach (DictionaryEntry entry in dictionary)
                    AddValue(children, Join(name, entry.Key), entry.Value);
                break;
            case Array array when array.GetType().GetElementType() is { } element && !CanHold(element):
                break;
            case IList list:
                for (int i = 0; i < list.Count; i++)
                    AddValue(children, Join(name, i), list[i]);
                break;
            case ITuple tuple:
                for (int i = 0; i < tuple.Length; i++)
                    AddValue(children, Join(name, i), tuple[i]);
                break;
        }
    }
}
