namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>
/// The operation of an <see cref="Instruction"/>. Each member says what the operand slots mean, where D, A, B, C are the fields of the
/// instruction and "list" is its range of <see cref="DecodedKernel.Operands"/>. Unless a member says otherwise D is the result, A, B and C
/// are the sources in the order of PTX, <see cref="Instruction.Type"/> is the type of the mnemonic (the last one where there are several is
/// <see cref="Instruction.SourceType"/>), and an unused slot is -1.
/// </summary>
public enum Opcode : ushort
{
    Invalid,

    // Integer arithmetic. Mul, Mad: Lo, Hi or Wide in Flags. Wide: Type is that of the factors.
    Add, Sub, Mul, Mad, Mul24, Mad24, Sad, Div, Rem, Abs, Neg, Min, Max,
    Popc, Clz, Brev,
    /// <summary>Type is that of A, SourceType that of B; Dp2a: Lo or Hi.</summary>
    Dp4a, Dp2a,
    /// <summary>.shiftamt in <see cref="InstructionFlags.ShiftAmount"/>.</summary>
    Bfind,
    /// <summary>D = bits of A from position B (32-bit slot), length C (32-bit slot).</summary>
    Bfe,
    /// <summary>List: a, b, position, length (the last two 32-bit slots); D = b with a inserted.</summary>
    Bfi,
    /// <summary>Extended precision with the carry: AddC and SubC read it with <see cref="InstructionFlags.CarryIn"/> and write it with CarryOut. C is the slot of the warp's carry mask (a predicate slot that the decoder allocates); MadC: list a, b, c, carry slot.</summary>
    AddC, SubC, MadC,

    // Floating point. Rounding, Ftz, Sat, Approx, Full in the modifiers.
    Fma, Rcp, Sqrt, Rsqrt, Sin, Cos, Lg2, Ex2, Tanh, Copysign,
    /// <summary>D is a predicate; the class in <see cref="Instruction.Mode"/> as <see cref="FloatClass"/>.</summary>
    Testp,

    // Comparison and selection
    /// <summary>
    /// D = (A cmp B) combined with predicate C; the list, where there is one, holds one slot: the second result of "p|q", which is
    /// (not (A cmp B)) combined with C. C is -1 without a combination; <see cref="InstructionFlags.NegatedC"/> for "!p".
    /// </summary>
    Setp,
    /// <summary>Like Setp with one 32-bit result of <see cref="Instruction.Type"/> (all ones or 1.0f); the compared type is SourceType.</summary>
    Set,
    /// <summary>D = C ? A : B where C is a predicate (<see cref="InstructionFlags.NegatedC"/> for "!p").</summary>
    Selp,
    /// <summary>D = C >= 0 ? A : B; SourceType is the type of C.</summary>
    Slct,

    // Logic. Type Pred: the slots are predicates. Cnot, Not and Mov have one source.
    And, Or, Xor, Not, Cnot,
    /// <summary>Shift amounts (B) are 32-bit slots.</summary>
    Shl, Shr,
    /// <summary>Funnel shift: A low, B high, C amount; Clamp (else wrap) in Flags; Lo: left (.l), Hi: right (.r).</summary>
    Shf,
    /// <summary>A, B, C as in PTX; Mode is a <see cref="PermuteMode"/>.</summary>
    Prmt,
    /// <summary>A, B, C; the lookup table is the immediate <see cref="Instruction.Offset"/>.</summary>
    Lop3,

    // Movement
    /// <summary>Registers, immediates, addresses of variables, and the special registers that do not change while a block runs (all are slots).</summary>
    Mov,
    /// <summary>D = the sources in the list side by side, the first lowest; Type is that of D.</summary>
    MovPack,
    /// <summary>A is split over the destinations in the list (-1: not wanted), the first lowest; Type is that of A.</summary>
    MovUnpack,
    /// <summary>D = a special register that changes: Mode is a <see cref="SpecialRegister"/>.</summary>
    ReadSpecial,
    /// <summary>A to Type from SourceType. cvt.rn.bf16x2.f32 d, a, b: Type BF16x2, A is the upper and B the lower half. DeclaredType decides how far integers are extended.</summary>
    Cvt,
    /// <summary>Space; <see cref="InstructionFlags.To"/> for cvta.to. Type U32 or U64.</summary>
    Cvta,
    /// <summary>D a predicate; A an address; Space.</summary>
    Isspacep,
    Prefetch,

    // Memory. The address is the slot A (32 or 64 bits: AddressType in SourceType: U32 or U64; -1: no register) plus Offset.
    /// <summary>D, or the list where Vector is above 1 (-1: not wanted). Type is the type in memory, DeclaredType that of the destination registers. Space Generic where the mnemonic has none. Param: the parameters of the kernel.</summary>
    Ld,
    /// <summary>B is the value, or the list where Vector is above 1. DeclaredType is that of the source registers, which may be wider than Type.</summary>
    St,
    /// <summary>D old value (-1 where not wanted, and for red), B operand, C second operand (cas: B compared, C new value). Mode is an <see cref="AtomicOperation"/>.</summary>
    Atom,
    /// <summary>cp.async: A shared destination + Offset, B global source + Target (here a displacement in bytes, 0 where there is none), C source size (-1: all); Vector is the number of bytes copied: 4, 8, 16. Shared addresses have the type SourceType, global ones are 64 bits.</summary>
    CpAsync,
    CpAsyncCommit,
    /// <summary>Offset: at most so many groups pending.</summary>
    CpAsyncWait,
    CpAsyncWaitAll,
    /// <summary>Arrives on the mbarrier at A + Offset when this thread's copies so far are done; Mode 1 for .noinc.</summary>
    CpAsyncMbarrierArrive,
    /// <summary>Fences and membar order memory; the emulator is sequentially consistent within a block.</summary>
    Membar,

    // Warp
    /// <summary>D value (-1: not wanted); list: a, b (lane or offset), c (clamp and segments), member mask (-1 without .sync), and the predicate result or -1. Mode is a <see cref="ShuffleMode"/>.</summary>
    Shfl,
    /// <summary>D (a predicate, or 32 bits for ballot); A the predicate (NegatedC for "!p"), B member mask (-1 without .sync). Mode is a <see cref="VoteMode"/>.</summary>
    Vote,
    /// <summary>D mask; A value, B member mask; list, where there is one: the predicate of match.all. Mode 0: any, 1: all. Type B32 or B64.</summary>
    Match,
    Activemask,
    /// <summary>D; A value, B member mask; Mode is an <see cref="AtomicOperation"/>: Add, Min, Max, And, Or, Xor.</summary>
    Redux,
    /// <summary>bar.warp.sync: A member mask.</summary>
    WarpSync,
    /// <summary>D a predicate: one lane of the member mask A is elected; B: the lane's number or -1.</summary>
    ElectSync,

    // Block
    /// <summary>A barrier number (slot), B thread count (-1: all of the block). <see cref="BarrierMode"/> in Mode; reductions: C predicate (NegatedC), D result. <see cref="InstructionFlags.Aligned"/>.</summary>
    Bar,
    /// <summary>mbarrier.*: Mode is an <see cref="MbarrierOperation"/>; A + Offset address (Space Shared or Generic); D state or predicate; B count, state or parity (-1: none).</summary>
    Mbarrier,

    // Control
    /// <summary>Target; Reconverge is the immediate post-dominator. <see cref="InstructionFlags.Uniform"/> for .uni.</summary>
    Bra,
    /// <summary>A index; the list holds the target pcs.</summary>
    BrxIdx,
    /// <summary>Target: first instruction of the function, whose code follows that of the kernel. D: the 32-bit slot where the function keeps its return address.</summary>
    Call,
    /// <summary>The end of a function: A is its slot of the return address. Functions have exactly one, at their end; the decoder turns others into branches to it.</summary>
    Ret,
    /// <summary>A function of the CUDA run time: Mode is a <see cref="BuiltinFunction"/>. The list holds local addresses (byte offsets in the thread's local memory): of the result (-1: none), then of each parameter.</summary>
    CallBuiltin,
    /// <summary>Ends the thread: exit, and ret in a kernel.</summary>
    Exit,
    Trap,
    Brkpt,
    /// <summary>A nanoseconds: lets other warps run.</summary>
    Nanosleep,

    // Tensor cores
    /// <summary>List: the registers of D, then A, B, C (their numbers follow from shape and types). Mode is an <see cref="MmaShape"/>; Type is that of C and D, SourceType that of A and B.</summary>
    Mma,
    /// <summary>List: 1, 2 or 4 destinations; A + Offset: shared address of each lane's row; <see cref="InstructionFlags.Transposed"/>. Vector is the number of matrices.</summary>
    Ldmatrix,
    /// <summary>The reverse: list holds the sources.</summary>
    Stmatrix,
}
