using System.Globalization;
using RawDiffusion.Cuda;

namespace RawDiffusion.Cli.Kernels;

/// <summary>One argument of a kernel as it was given on the command line: a number, or a buffer that is made for it.</summary>
internal abstract record LaunchArgument(string Text)
{
    /// <summary>The forms, for help.</summary>
    public const string Forms = """
        3 is an int, 7L a long, 0.5f a float, 0.5 a double, true a bool; f32:1024 is a buffer of 1024 floats (f64, f16, i32, u32, i64, u8) that holds zeros,
        f32:1024=random numbers in [-1, 1) (integers: 0 to 99), f32:1024=range 0, 1, 2, ..., f32:1024=1.5 that number, f32:1024=undefined nothing until the kernel writes it
        """;

    private const long MostBytes = 1L << 30;

    /// <exception cref="ArgumentException">It has none of the forms.</exception>
    public static LaunchArgument Parse(string text) => text.Contains(':') ? ParseBuffer(text) : new ScalarArgument(text, ParseScalar(text));

    private static KernelArg ParseScalar(string text)
    {
        var invariant = CultureInfo.InvariantCulture;
        if (text is "true" or "false")
            return text == "true";
        if (int.TryParse(text, NumberStyles.AllowLeadingSign, invariant, out int small))
            return small;
        if (text.EndsWith('u') && uint.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, invariant, out uint unsigned))
            return unsigned;
        if (text.EndsWith('L') && long.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.AllowLeadingSign, invariant, out long large))
            return large;
        // A whole number without a suffix that no int holds is more likely a forgotten L than a double.
        if (text.AsSpan().TrimStart("+-").IndexOfAnyExceptInRange('0', '9') < 0)
            throw new ArgumentException($"--args: '{text}' is too large for an int; {text}L is a long");
        if (text.EndsWith('f') && float.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.Float, invariant, out float single))
            return single;
        if (double.TryParse(text, NumberStyles.Float, invariant, out double number))
            return number;
        throw new ArgumentException($"--args: '{text}' is no argument; {Forms.ReplaceLineEndings(" ")}");
    }

    private static BufferArgument ParseBuffer(string text)
    {
        int colon = text.IndexOf(':'), equals = text.IndexOf('=');
        string typeName = text[..colon], count = equals < 0 ? text[(colon + 1)..] : text[(colon + 1)..Math.Max(colon + 1, equals)], fill = equals < 0 ? "zeros" : text[(equals + 1)..];
        var type = ElementType.All.FirstOrDefault(type => type.Name == typeName)
            ?? throw new ArgumentException($"--args: '{text}': there is no type '{typeName}'; there are: {string.Join(", ", ElementType.All.Select(type => type.Name))}");
        if (!int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out int elements) || elements == 0)
            throw new ArgumentException($"--args: '{text}': '{count}' is no number of elements");
        if ((long)elements * type.Bytes > MostBytes)
            throw new ArgumentException($"--args: '{text}' has more than {MostBytes >> 20} MiB");
        if (fill is not ("zeros" or "random" or "range" or "undefined") && !double.TryParse(fill, NumberStyles.Float, CultureInfo.InvariantCulture, out _))
            throw new ArgumentException($"--args: '{text}': '{fill}' is nothing to fill a buffer with; there are: zeros, random, range, undefined and numbers");
        return new BufferArgument(text, type, elements, fill);
    }
}

/// <summary>A number, passed by value.</summary>
internal sealed record ScalarArgument(string Text, KernelArg Value) : LaunchArgument(Text);

/// <summary>A buffer in device memory.</summary>
internal sealed record BufferArgument(string Text, ElementType Type, int Count, string Fill) : LaunchArgument(Text)
{
    private const int RandomIntegers = 100;

    public int Bytes => Count * Type.Bytes;

    /// <summary>What it holds before the launch; null: nothing.</summary>
    /// <param name="seed">Of random contents.</param>
    public byte[]? Contents(int seed)
    {
        if (Fill == "undefined")
            return null;
        byte[] bytes = new byte[Bytes];
        var random = new Random(seed);
        double constant = Fill is "zeros" or "random" or "range" ? 0 : double.Parse(Fill, NumberStyles.Float, CultureInfo.InvariantCulture);
        for (int i = 0; i < Count && Fill != "zeros"; i++)
        {
            Type.Write(bytes, i * Type.Bytes, Fill switch
            {
                "random" => Type.IsFloat ? 2 * random.NextDouble() - 1 : random.Next(RandomIntegers),
                "range" => i,
                _ => constant,
            });
        }
        return bytes;
    }

    /// <summary>What it holds after the launch: the first values, smallest, largest and sum, and how many changed.</summary>
    public string[] Summary(int index, byte[]? before, byte[] after)
    {
        const int First = 6;
        double smallest = double.PositiveInfinity, largest = double.NegativeInfinity, sum = 0;
        int changed = 0, notANumber = 0;
        for (int i = 0; i < Count; i++)
        {
            double value = Type.Read(after, i * Type.Bytes);
            if (double.IsNaN(value))
                notANumber++;
            smallest = Math.Min(smallest, value);
            largest = Math.Max(largest, value);
            sum += value;
            if (before is not null && !after.AsSpan(i * Type.Bytes, Type.Bytes).SequenceEqual(before.AsSpan(i * Type.Bytes, Type.Bytes)))
                changed++;
        }
        string first = string.Join(' ', Enumerable.Range(0, Math.Min(First, Count)).Select(i => Type.Text(Type.Read(after, i * Type.Bytes))));
        string nan = notANumber == 0 ? "" : $", {notANumber} NaN";
        return
        [
            index.ToString(CultureInfo.InvariantCulture), $"{Type.Name}:{Count}", first + (Count > First ? " ..." : ""), Type.Text(smallest), Type.Text(largest),
            sum.ToString("G9", CultureInfo.InvariantCulture) + nan, before is null ? "was undefined" : $"{changed} of {Count}",
        ];
    }
}
