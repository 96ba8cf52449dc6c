using System.Globalization;

namespace RawDiffusion.PtxEmulator.Checks;

/// <summary>What variables and functions are called in the source: C++ compilers put scopes and types into the names.</summary>
internal static class SourceNames
{
    /// <summary>The last identifier of a mangled name: of <c>_ZZ4foldPfiE4tile</c>, a variable in the function fold, <c>tile</c>; of others the name itself.</summary>
    public static string Of(string name)
    {
        if (!name.StartsWith("_Z", StringComparison.Ordinal))
            return name;
        string found = name;
        bool inScope = name.Length > 2 && name[2] is 'N' or 'Z';
        for (int at = 2; at < name.Length;)
        {
            int digits = 0;
            while (at + digits < name.Length && char.IsAsciiDigit(name[at + digits]))
                digits++;
            if (digits is 0 or > 4)
            {
                at += Math.Max(1, digits);
                continue;
            }
            int length = int.Parse(name.AsSpan(at, digits), NumberStyles.None, CultureInfo.InvariantCulture);
            if (length == 0 || at + digits + length > name.Length)
            {
                at += digits;
                continue;
            }
            found = name.Substring(at + digits, length);
            at += digits + length;
            // What follows the name of a plain function are its types.
            if (!inScope)
                break;
        }
        return found;
    }
}
