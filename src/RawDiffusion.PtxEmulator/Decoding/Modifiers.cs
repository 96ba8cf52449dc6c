namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>.rn .rz .rm .rp, and the same to integral values: .rni .rzi .rmi .rpi; rna is to nearest, ties away.</summary>
public enum Rounding : byte { None, Nearest, Zero, Down, Up, NearestInteger, ZeroInteger, DownInteger, UpInteger, NearestAway }

/// <summary>Comparisons; the U forms are true also where an operand is NaN. lo ls hi hs are lt le gt ge of an unsigned type.</summary>
public enum Comparison : byte { None, Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan }

public enum BooleanOperation : byte { None, And, Or, Xor }

/// <summary>Where an address points.</summary>
public enum StateSpace : byte { Generic, Global, Constant, Shared, Local, Parameter }

[Flags]
public enum InstructionFlags : uint
{
    None = 0,
    /// <summary>The guard is "@!p".</summary>
    GuardNegated = 1 << 0,
    /// <summary>The predicate operand (C, or A of vote) is "!p".</summary>
    NegatedC = 1 << 1,
    Ftz = 1 << 2,
    Sat = 1 << 3,
    Approx = 1 << 4,
    Full = 1 << 5,
    Lo = 1 << 6,
    Hi = 1 << 7,
    Wide = 1 << 8,
    /// <summary>min and max: .NaN.</summary>
    NaN = 1 << 9,
    /// <summary>min and max: .xorsign.abs.</summary>
    XorSign = 1 << 10,
    Relu = 1 << 11,
    Uniform = 1 << 12,
    Aligned = 1 << 13,
    To = 1 << 14,
    Transposed = 1 << 15,
    Clamp = 1 << 16,
    ShiftAmount = 1 << 17,
    Volatile = 1 << 18,
    /// <summary>.acquire, .release, .acq_rel, .sc or .relaxed at a scope: another thread's access to the same place is no race.</summary>
    Synchronizing = 1 << 19,
    CarryIn = 1 << 20,
    CarryOut = 1 << 21,
    /// <summary>ld.global.nc.</summary>
    NonCoherent = 1 << 22,
}

public enum ShuffleMode : byte { Up, Down, Butterfly, Index }

public enum VoteMode : byte { All, Any, Uniform, Ballot }

public enum AtomicOperation : byte { Add, Minimum, Maximum, And, Or, Xor, Exchange, CompareAndSwap, Increment, Decrement }

public enum BarrierMode : byte { Sync, Arrive, ReducePopc, ReduceAnd, ReduceOr }

public enum PermuteMode : byte { Index, Forward4Extract, Backward4Extract, Replicate8, EdgeClampLeft, EdgeClampRight, Replicate16 }

public enum FloatClass : byte { Finite, Infinite, Number, NotANumber, Normal, Subnormal }

public enum MmaShape : byte { M16N8K4, M16N8K8, M16N8K16, M8N8K4, M16N8K32 }

public enum MbarrierOperation : byte { Init, Invalidate, Arrive, ArriveDrop, ArriveNoComplete, ArriveExpectTx, ExpectTx, CompleteTx, TestWait, TryWait, TestWaitParity, TryWaitParity, PendingCount }

public enum BuiltinFunction : byte { Printf, AssertFail, Malloc, Free }

/// <summary>
/// Those down to <see cref="LaneMaskGt"/> do not change while a block runs: they are ordinary 32-bit slots listed in
/// <see cref="DecodedKernel.Specials"/>, and reading one is a Mov. The others are read by <see cref="Opcode.ReadSpecial"/>.
/// </summary>
public enum SpecialRegister : byte
{
    TidX, TidY, TidZ, NtidX, NtidY, NtidZ, CtaidX, CtaidY, CtaidZ, NctaidX, NctaidY, NctaidZ,
    LaneId, WarpId, NwarpId, SmId, NsmId, GridId, WarpSize, DynamicSharedSize, TotalSharedSize,
    LaneMaskEq, LaneMaskLe, LaneMaskLt, LaneMaskGe, LaneMaskGt,
    Clock, ClockHi, Clock64, GlobalTimer, GlobalTimerLo, GlobalTimerHi,
}
