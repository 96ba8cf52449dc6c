using System.Runtime.InteropServices;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>
/// One decoded instruction, 64 bytes. Operands are slots: byte offsets into the warp's register file, where a 32-bit register is 32 lanes
/// of 4 bytes (128 bytes), a 64-bit one 32 lanes of 8 bytes (256), a register of 8 or 16 bits is kept like one of 32 bits with zeros above,
/// and a predicate is one 32-bit mask, bit i for lane i. Immediates, addresses of variables and special registers are slots too, filled
/// before the kernel runs (<see cref="DecodedKernel.Constants"/>, <see cref="DecodedKernel.Specials"/>), so that no instruction asks what
/// kind of operand it has. Register slots are multiples of 64, predicate slots of 4.
/// </summary>
/// <remarks>What the slots of each operation mean stands at the members of <see cref="Decoding.Opcode"/>.</remarks>
[StructLayout(LayoutKind.Sequential)]
public struct Instruction
{
    /// <summary>The code that executes it; set by the executor, 0 after decoding.</summary>
    internal nint Execute;

    public Opcode Opcode;
    public PtxType Type;
    public PtxType SourceType;
    public Rounding Rounding;
    public Comparison Comparison;
    public BooleanOperation Combine;
    public StateSpace Space;
    public InstructionFlags Flags;

    /// <summary>Elements of a vector access (1, 2, 4); bytes of cp.async; matrices of ldmatrix.</summary>
    public byte Vector;

    /// <summary>An enumeration that depends on the operation.</summary>
    public byte Mode;

    /// <summary>The type with which the destination register was declared, or the source of a store; None where there is neither.</summary>
    public PtxType DeclaredType;

    /// <summary>How many slots the instruction has in <see cref="DecodedKernel.Operands"/>.</summary>
    public byte ListCount;

    /// <summary>Slot of the guard predicate; -1: always executed.</summary>
    public int Guard;

    public int D, A, B, C;

    /// <summary>Displacement of an address in bytes, or an immediate of the operation.</summary>
    public int Offset;

    /// <summary>Index of the instruction branched to.</summary>
    public int Target;

    /// <summary>Branches: index of the instruction where diverged lanes meet again, the immediate post-dominator; -1: only at the exit.</summary>
    public int Reconverge;

    /// <summary>Index into <see cref="DecodedKernel.Lines"/>; -1 where the compiler gave none.</summary>
    public int Line;

    /// <summary>First of its slots in <see cref="DecodedKernel.Operands"/>.</summary>
    public int List;

    public static Instruction Create(Opcode opcode, PtxType type = PtxType.None) =>
        new() { Opcode = opcode, Type = type, Vector = 1, Guard = -1, D = -1, A = -1, B = -1, C = -1, Target = -1, Reconverge = -1, Line = -1 };

    public readonly bool Has(InstructionFlags flag) => (Flags & flag) != 0;
}
