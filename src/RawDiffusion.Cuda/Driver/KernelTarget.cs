namespace RawDiffusion.Cuda;

/// <summary>
/// What a kernel is compiled to: <c>sm_90a</c> is machine code (a cubin) for that architecture, <c>compute_80</c> is PTX. The name is
/// NVRTC's <c>--gpu-architecture</c>.
/// </summary>
public readonly record struct KernelTarget
{
    /// <exception cref="ArgumentException">Neither sm_ nor compute_ followed by a number and perhaps a letter.</exception>
    public KernelTarget(string architecture)
    {
        string digits = architecture.StartsWith("sm_", StringComparison.Ordinal) ? architecture[3..]
            : architecture.StartsWith("compute_", StringComparison.Ordinal) ? architecture[8..] : "";
        string number = digits.TrimEnd('a', 'f');
        if (number.Length is < 2 or > 3 || digits.Length - number.Length > 1 || !number.All(char.IsAsciiDigit))
            throw new ArgumentException($"'{architecture}' is no GPU architecture; expected something like sm_80, sm_90a or compute_80.");
        Architecture = architecture;
        ComputeCapability = int.Parse(number);
    }

    public string Architecture { get; }

    /// <summary>Ten times the major number plus the minor: 75, 80, 90, 120.</summary>
    public int ComputeCapability { get; }

    public bool IsCubin => Architecture.StartsWith("sm_", StringComparison.Ordinal);

    public override string ToString() => Architecture;
}
