using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Finds the code that executes an instruction: a method for its operation, types and modifiers, chosen once.</summary>
internal static unsafe class Handlers
{
    /// <summary>Where lanes of a warp meet to exchange values; the loop of the warp sees to it that they have.</summary>
    public static bool IsCollective(Opcode opcode) =>
        opcode is Opcode.Shfl or Opcode.Vote or Opcode.Match or Opcode.Redux or Opcode.WarpSync or Opcode.ElectSync;

    private static bool IsControl(Opcode opcode) =>
        opcode is Opcode.Bra or Opcode.BrxIdx or Opcode.Call or Opcode.Ret or Opcode.Exit or Opcode.Bar or Opcode.Trap or Opcode.Brkpt
            or Opcode.Nanosleep or Opcode.WarpSync or Opcode.ReadSpecial;

    /// <summary>The address of a <c>void (Warp, Instruction*, uint mask)</c>; 0 for what the loop of the warp does itself.</summary>
    /// <param name="perturbed">Whether approximations are to be moved within their errors.</param>
    /// <exception cref="NotSupportedException">There is no such method.</exception>
    public static nint For(DecodedKernel kernel, int pc, bool perturbed)
    {
        ref readonly Instruction i = ref kernel.Code[pc];
        if (IsControl(i.Opcode))
        {
            if (i.Guard >= 0 && i.Opcode is Opcode.Call or Opcode.Ret or Opcode.BrxIdx)
                throw new NotSupportedException($"{i.Opcode} under a guard is not executed: {kernel.Describe(pc)}");
            return 0;
        }
        nint handler = i.Opcode switch
        {
            Opcode.Mov or Opcode.MovPack or Opcode.MovUnpack or Opcode.Cvta or Opcode.Isspacep => Movement.Select(i),
            Opcode.Setp or Opcode.Set or Opcode.Selp or Opcode.Slct or Opcode.Testp => Comparisons.Select(i),
            Opcode.And or Opcode.Or or Opcode.Xor or Opcode.Not or Opcode.Cnot or Opcode.Shl or Opcode.Shr or Opcode.Shf or Opcode.Lop3
                or Opcode.Prmt or Opcode.Popc or Opcode.Clz or Opcode.Brev or Opcode.Bfind or Opcode.Bfe or Opcode.Bfi => Bits.Select(i),
            Opcode.Cvt => Conversions.Select(i),
            Opcode.Rcp or Opcode.Sqrt or Opcode.Rsqrt or Opcode.Sin or Opcode.Cos or Opcode.Lg2 or Opcode.Ex2 or Opcode.Tanh => SpecialFunctions.Select(i, perturbed),
            Opcode.Ld or Opcode.St or Opcode.Prefetch or Opcode.Membar => MemoryAccess.Select(i),
            Opcode.Atom => Atomics.Select(i),
            Opcode.Shfl or Opcode.Vote or Opcode.Match or Opcode.Activemask or Opcode.Redux or Opcode.ElectSync => WarpExchange.Select(i),
            Opcode.CpAsync or Opcode.CpAsyncCommit or Opcode.CpAsyncWait or Opcode.CpAsyncWaitAll => AsyncCopies.Select(i),
            Opcode.Mbarrier or Opcode.CpAsyncMbarrierArrive => Mbarriers.Select(i),
            Opcode.Mma or Opcode.Ldmatrix or Opcode.Stmatrix => Matrices.Select(i),
            Opcode.CallBuiltin => Builtins.Select(i),
            _ when i.Type is PtxType.F16 or PtxType.BF16 or PtxType.F16x2 or PtxType.BF16x2 => Halves.Select(i),
            _ when i.Type.IsFloat() => Floats.Select(i, perturbed),
            _ => Integers.Select(i),
        };
        return handler != 0 ? handler : throw new NotSupportedException(
            $"{i.Opcode} of {i.Type}{(i.SourceType == PtxType.None ? "" : $" and {i.SourceType}")} with {i.Flags} is not executed: {kernel.Describe(pc)}");
    }

    /// <summary>The same with the checks or counts of a mode around it.</summary>
    public static nint InMode(DecodedKernel kernel, int pc, nint plain, ExecutionMode mode) => mode switch
    {
        ExecutionMode.Checked => CheckedAccess.Select(kernel.Code[pc], plain),
        ExecutionMode.Counted => CountedAccess.Select(kernel.Code[pc], plain),
        _ => plain,
    };

    /// <summary>Names a handler as a number, since a switch cannot give method groups a type.</summary>
    public static nint At(delegate*<Warp, Instruction*, uint, void> handler) => (nint)handler;
}
