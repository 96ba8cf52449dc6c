namespace RawDiffusion.PtxEmulator.Parsing;

/// <summary>A translation unit of PTX as it was written: names are not resolved and types not checked.</summary>
internal sealed class PtxModule
{
    public required Version Version { get; init; }

    /// <summary>The architecture: <c>sm_80</c>.</summary>
    public required string Target { get; init; }

    /// <summary>Source files by their number in .loc.</summary>
    public Dictionary<int, string> Files { get; } = [];

    /// <summary>Variables outside functions.</summary>
    public List<PtxVariable> Variables { get; } = [];

    /// <summary>Kernels, device functions and declarations without a body, in their order.</summary>
    public List<PtxFunction> Functions { get; } = [];
}

internal enum PtxLinkage
{
    Local,
    Visible,
    Extern,
    Weak,
    Common,
}

internal enum PtxSpace
{
    Global,
    Const,
    Shared,
    Local,
    Param,
}

/// <summary>A kernel or device function.</summary>
internal sealed class PtxFunction
{
    public required string Name { get; init; }

    public required int Line { get; init; }

    public required bool IsKernel { get; init; }

    public required PtxLinkage Linkage { get; init; }

    public required IReadOnlyList<PtxVariable> Returns { get; init; }

    public required IReadOnlyList<PtxVariable> Parameters { get; init; }

    /// <summary>.maxntid, .reqntid, .minnctapersm, .maxnreg and the like with their numbers, in front of the body.</summary>
    public required IReadOnlyList<PtxDirective> Directives { get; init; }

    /// <summary>Null for a declaration.</summary>
    public required PtxBlock? Body { get; init; }
}

internal sealed record PtxDirective(string Name, IReadOnlyList<long> Numbers, int Line);

/// <summary>A variable in memory, or a parameter.</summary>
internal sealed class PtxVariable
{
    public required string Name { get; init; }

    public required int Line { get; init; }

    public required PtxSpace Space { get; init; }

    public required PtxLinkage Linkage { get; init; }

    /// <summary>The type of an element: <c>b8</c>, <c>f32</c>.</summary>
    public required string Type { get; init; }

    /// <summary>Bytes of an element: its type's, times 2 or 4 for .v2 and .v4.</summary>
    public required int ElementBytes { get; init; }

    /// <summary>Bytes.</summary>
    public required int Alignment { get; init; }

    /// <summary>Elements of an array; 1 for a scalar, 0 for an array whose extent is left open.</summary>
    public required long Count { get; init; }

    /// <summary>Whether the extent is left open: <c>.extern .shared .b8 x[]</c>.</summary>
    public required bool IsOpen { get; init; }

    /// <summary>What stands behind the equals sign, with the index of each element's part; the rest is zero.</summary>
    public required IReadOnlyList<PtxInitializer> Initializers { get; init; }

    /// <summary>Bytes of the whole.</summary>
    public long Size => Count * ElementBytes;
}

/// <param name="Index">Which scalar element of the variable.</param>
/// <param name="Value">An immediate, or an address.</param>
/// <param name="Mask">For one byte of an address, <c>0xFF00(symbol)</c>: which; 0 for the whole value.</param>
/// <param name="IsGeneric">Whether the address is a generic one: <c>generic(symbol)</c>.</param>
internal readonly record struct PtxInitializer(long Index, PtxOperand Value, ulong Mask, bool IsGeneric, int Line);
