namespace RawDiffusion.PtxEmulator.Parsing;

/// <summary>What stands in the body of a function.</summary>
internal abstract record PtxStatement(int Line);

/// <summary>Statements in braces: names declared inside are known inside only.</summary>
internal sealed record PtxBlock(int Line, IReadOnlyList<PtxStatement> Statements) : PtxStatement(Line);

internal sealed record PtxLabel(int Line, string Name) : PtxStatement(Line);

/// <summary>Registers <c>Name</c>, or <c>Name0</c> to <c>Name(Count-1)</c> where a count is given.</summary>
/// <param name="Count">-1 for one register without a number.</param>
internal sealed record PtxRegisters(int Line, string Type, string Name, int Count) : PtxStatement(Line);

internal sealed record PtxLocalVariable(int Line, PtxVariable Variable) : PtxStatement(Line);

/// <summary>The source line of the instructions that follow.</summary>
/// <param name="InlinedAt">Where the function that the line is part of was inlined, or null.</param>
internal sealed record PtxLocation(int Line, PtxPlace Place, PtxPlace? InlinedAt) : PtxStatement(Line);

/// <summary>A place in a source file of the module.</summary>
internal readonly record struct PtxPlace(int File, int Line, int Column);

/// <summary>The possible targets of an indirect branch (labels) or an indirect call (functions).</summary>
internal sealed record PtxTargets(int Line, string Name, IReadOnlyList<string> Targets, bool AreCalls) : PtxStatement(Line);

/// <summary>The signature of an indirect call.</summary>
internal sealed record PtxPrototype(int Line, string Name, IReadOnlyList<PtxVariable> Returns, IReadOnlyList<PtxVariable> Parameters)
    : PtxStatement(Line);

/// <param name="Guard">The predicate register, or null.</param>
/// <param name="GuardNegated">Whether it executes where the predicate is false.</param>
/// <param name="Opcode">The part before the first full stop: <c>ld</c>.</param>
/// <param name="Modifiers">The parts behind it: <c>global</c>, <c>v4</c>, <c>f32</c>.</param>
/// <param name="Text">As written, for messages.</param>
internal sealed record PtxInstruction(
    int Line, string? Guard, bool GuardNegated, string Opcode, string[] Modifiers, PtxOperand[] Operands, ReadOnlyMemory<char> Text)
    : PtxStatement(Line);
