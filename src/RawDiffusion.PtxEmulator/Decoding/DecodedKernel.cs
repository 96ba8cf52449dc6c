using RawDiffusion.Cuda;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>A place in CUDA source; <paramref name="InlinedAt"/> is the call through which the line came here.</summary>
public sealed record SourceLine(string File, int Line, int Column, SourceLine? InlinedAt)
{
    /// <summary>The file without its folder, which NVRTC makes up for a source that is no file.</summary>
    public override string ToString()
    {
        string place = $"{Path.GetFileName(File)}:{Line}";
        return InlinedAt is null ? place : $"{place}, inlined at {InlinedAt}";
    }
}

/// <summary>A parameter of a kernel, at <paramref name="Offset"/> in the block of all parameters.</summary>
public sealed record KernelParameter(string Name, PtxType Type, int Offset, int Bytes, int Alignment);

/// <summary>
/// A slot that holds the same value in all lanes (in a predicate slot: Value is the mask). Where <paramref name="Global"/> is not -1 the
/// value is the address of that variable of the module plus Value. The address of a shared, local or parameter variable is its offset in
/// that memory of the block or thread; cvta makes it generic.
/// </summary>
public readonly record struct ConstantSlot(int Slot, PtxType Type, ulong Value, int Global = -1);

/// <summary>The slot of a special register that the kernel reads.</summary>
public readonly record struct SpecialSlot(int Slot, SpecialRegister Register);

/// <summary>
/// A module variable in global or constant memory. <paramref name="Initial"/> may be shorter than <paramref name="Bytes"/>: the rest is
/// zero (both state spaces are initialised). <paramref name="Pointers"/>: 8-byte words of it that hold the address of another variable.
/// </summary>
public sealed record ModuleVariable(
    string Name, StateSpace Space, long Bytes, int Alignment, byte[] Initial, IReadOnlyList<InitialPointer> Pointers);

/// <summary>The word at <paramref name="Offset"/> holds the address of variable <paramref name="Variable"/> plus <paramref name="Addend"/>.</summary>
public readonly record struct InitialPointer(long Offset, int Variable, long Addend);

/// <summary>Everything in one PTX text. The driver gives the variables their addresses; constants refer to them by index.</summary>
public sealed record DecodedModule(string Name, string Target, IReadOnlyList<ModuleVariable> Variables, IReadOnlyList<DecodedKernel> Kernels);

/// <summary>
/// A shared variable, for reports. The variable of dynamic size (extern __shared__) starts at the end of the static ones and has 0 bytes.
/// </summary>
public sealed record SharedVariable(string Name, int Offset, int Bytes);

/// <summary>
/// A kernel ready to execute: its code, followed by that of the functions it calls. Each function has registers and local memory of its
/// own in the layout (recursion is refused), so a call is a jump.
/// </summary>
public sealed class DecodedKernel
{
    public required string Name { get; init; }

    public required Instruction[] Code { get; init; }

    /// <summary>The lists of slots of instructions with many operands.</summary>
    public required int[] Operands { get; init; }

    /// <summary>Size of a warp's register file in bytes, all slots included.</summary>
    public required int RegisterBytes { get; init; }

    public required ConstantSlot[] Constants { get; init; }

    public required SpecialSlot[] Specials { get; init; }

    public required KernelParameter[] Parameters { get; init; }

    /// <summary>Size of the block of parameters in bytes.</summary>
    public required int ParameterBytes { get; init; }

    /// <summary>Static shared memory in bytes, padded to the alignment of the dynamic variable, which begins here.</summary>
    public required int StaticSharedBytes { get; init; }

    public SharedVariable[] SharedVariables { get; init; } = [];

    /// <summary>Local memory per thread: its variables, the frames of functions and the parameters of calls.</summary>
    public required int LocalBytes { get; init; }

    public required SourceLine[] Lines { get; init; }

    /// <summary>For each instruction the line of the PTX text it came from, from 1.</summary>
    public required int[] PtxLines { get; init; }

    /// <summary>The PTX text by lines, for reports; empty where it is not kept.</summary>
    public string[] PtxText { get; init; } = [];

    /// <summary>.maxntid (or .reqntid, see <see cref="RequiresExactBlock"/>); null where the kernel has none.</summary>
    public Dim3? MaxBlock { get; init; }

    public bool RequiresExactBlock { get; init; }

    /// <summary>Registers per thread as a compiler would count them at most: 32-bit registers declared. For attributes of functions only.</summary>
    public int DeclaredRegisters { get; init; }

    /// <summary>What the CUDA source and the PTX say at an instruction, for messages.</summary>
    public string Describe(int pc)
    {
        string place = Code[pc].Line >= 0 ? $"{Lines[Code[pc].Line]}" : Name;
        return $"{place} ({DescribePtx(pc)})";
    }

    /// <summary>What the PTX says at an instruction.</summary>
    public string DescribePtx(int pc)
    {
        int line = PtxLines[pc];
        string text = line >= 1 && line <= PtxText.Length ? ": " + PtxText[line - 1].Trim().Replace('\t', ' ') : "";
        return $"PTX line {line}{text}";
    }
}
