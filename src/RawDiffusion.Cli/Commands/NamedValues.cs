namespace RawDiffusion.Cli.Commands;

/// <summary>Values that the user gives by name: <c>colour=red</c>.</summary>
internal static class NamedValues
{
    /// <summary>Reads them.</summary>
    /// <param name="option">Without the dashes, for messages.</param>
    /// <param name="example">What the user should have written.</param>
    /// <exception cref="ArgumentException">One is no name with a value, or a name is given twice.</exception>
    public static Dictionary<string, string> Read(string option, IEnumerable<string> given, string example)
    {
        var values = new Dictionary<string, string>();
        foreach (string pair in given)
        {
            if (pair.Split('=') is not [{ Length: > 0 } name, { Length: > 0 } value])
                throw new ArgumentException($"--{option}: '{pair}' is no name with a value; expected something like {example}");
            if (!values.TryAdd(name, value))
                throw new ArgumentException($"--{option}: '{name}' is given twice");
        }
        return values;
    }
}
