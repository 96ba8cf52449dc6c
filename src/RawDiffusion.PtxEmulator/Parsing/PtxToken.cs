namespace RawDiffusion.PtxEmulator.Parsing;

internal enum PtxTokenKind
{
    End,

    /// <summary>A name: register, symbol, label, opcode; also <c>_</c>.</summary>
    Name,

    /// <summary>A full stop and what follows it, <c>::</c> parts included: directive, type or modifier.</summary>
    Dotted,

    Integer,

    /// <summary>A decimal fraction, also the number of a version.</summary>
    Decimal,

    /// <summary>0f and eight hexadecimal digits.</summary>
    Float32,

    /// <summary>0d and sixteen hexadecimal digits.</summary>
    Float64,

    /// <summary>Text between quotes.</summary>
    String,

    /// <summary>One character, or two for a shift.</summary>
    Punctuation,
}

/// <param name="Start">Where in the text; for a dotted token behind the full stop, for a string behind the quote.</param>
internal readonly record struct PtxToken(PtxTokenKind Kind, int Start, int Length, int Line);
