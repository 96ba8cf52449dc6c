namespace RawDiffusion.PtxEmulator.Parsing;

internal abstract record PtxOperand;

/// <summary>A register, variable, label or function; <c>_</c> is a destination that is thrown away.</summary>
/// <param name="Component">x, y, z, w behind a full stop, as in <c>%tid.x</c>; empty where there is none.</param>
internal sealed record PtxName(string Name, string Component = "") : PtxOperand
{
    public bool IsSink => Name == "_";
}

/// <summary>The address of a variable and a distance: <c>symbol+4</c> without brackets.</summary>
internal sealed record PtxSymbolOffset(string Name, long Offset) : PtxOperand;

internal enum PtxImmediateKind
{
    Integer,
    Float32,
    Float64,
}

/// <param name="Bits">The integer as 64 bits of two's complement, or the bits of the float or double.</param>
internal sealed record PtxImmediate(PtxImmediateKind Kind, ulong Bits) : PtxOperand;

/// <summary><c>[base+offset]</c>.</summary>
/// <param name="Base">A register or variable; null for an address that is a number.</param>
internal sealed record PtxAddress(string? Base, long Offset) : PtxOperand;

/// <summary><c>{a, b}</c>.</summary>
internal sealed record PtxVector(PtxOperand[] Elements) : PtxOperand;

/// <summary><c>a|b</c>: two destinations.</summary>
internal sealed record PtxPair(PtxOperand First, PtxOperand Second) : PtxOperand;

/// <summary><c>!p</c>.</summary>
internal sealed record PtxNegated(string Name) : PtxOperand;

/// <summary><c>(a, b)</c>: arguments or results of a call.</summary>
internal sealed record PtxArguments(PtxOperand[] Elements) : PtxOperand;
