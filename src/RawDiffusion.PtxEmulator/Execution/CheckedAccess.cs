using System.Numerics;
using System.Runtime.CompilerServices;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// Accesses to memory in checked mode: bounds and alignment are tested, then undefined reads and races by the shadow of the memory, then the
/// instruction is executed as in the other modes.
/// </summary>
internal static unsafe class CheckedAccess
{
    public static nint Select(in Instruction i, nint plain) => i.Opcode switch
    {
        Opcode.Ld or Opcode.St or Opcode.Atom or Opcode.Ldmatrix or Opcode.Stmatrix or Opcode.Mbarrier or Opcode.CpAsyncMbarrierArrive => i.Space switch
        {
            StateSpace.Global => Handlers.At(&Access<GlobalSpace>),
            StateSpace.Shared => Handlers.At(&Access<SharedSpace>),
            StateSpace.Local => Handlers.At(&Access<LocalSpace>),
            StateSpace.Generic when !(i.Opcode == Opcode.Mbarrier && (MbarrierOperation)i.Mode == MbarrierOperation.PendingCount) => Handlers.At(&Access<GenericSpace>),
            _ => plain,
        },
        Opcode.CpAsync => Handlers.At(&Copy),
        Opcode.Membar => Handlers.At(&Fence),
        Opcode.CallBuiltin => Handlers.At(&Builtin),
        _ => plain,
    };

    /// <summary>Room in <see cref="Warp.Scratch"/> that the plain execution of accesses does not use.</summary>
    private const int SavedAddresses = 1024, Values = 1280;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Access<TSpace>(Warp w, Instruction* i, uint mask)
        where TSpace : struct, IAddressSpace
    {
        int bytes = Bytes(i);
        bool writes = i->Opcode is Opcode.St or Opcode.Atom or Opcode.Stmatrix or Opcode.Mbarrier or Opcode.CpAsyncMbarrierArrive;
        uint lanes = i->Opcode is Opcode.Ldmatrix or Opcode.Stmatrix && i->Vector < 4 ? (1u << (8 * i->Vector)) - 1 : mask;
        BlockChecks? checks = w.Block.BlockChecks;
        if (checks is not null)
        {
            AddressPattern pattern = AddressSpaces.Resolve<TSpace>(w, i, lanes, bytes, writes, out ulong delta);
            // Of many lanes that read one place two stand for all: whatever thread writes it, one of them is another.
            if (pattern == AddressPattern.Uniform && !writes && typeof(TSpace) != typeof(LocalSpace))
                lanes = 3;
            if (delta == 0)
                AddressSpaces.Prepare(w, i, lanes, bytes);
            if (typeof(TSpace) == typeof(GenericSpace))
                Generic(w, i, lanes, bytes);
            else
                Record(w, i, lanes, bytes, typeof(TSpace) == typeof(GlobalSpace) ? StateSpace.Global : typeof(TSpace) == typeof(SharedSpace) ? StateSpace.Shared : StateSpace.Local);
        }
        ((delegate*<Warp, Instruction*, uint, void>)w.Program.Plain[w.PcOf(i)])(w, i, mask);
        // Only now is everything past that the access may have seen.
        if (i->Opcode == Opcode.Atom || (i->Opcode == Opcode.Ld && (i->Flags & (InstructionFlags.Volatile | InstructionFlags.Synchronizing)) != 0))
            w.Block.Order!.Notice(w.Index);
    }

    /// <summary>Lanes may point into several spaces.</summary>
    private static void Generic(Warp w, Instruction* i, uint mask, int bytes)
    {
        uint shared = 0, local = 0, global = 0;
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong window = w.Addresses[lane] & AddressWindows.Mask;
            switch (window)
            {
                case AddressWindows.Shared:
                    shared |= 1u << lane;
                    break;
                case AddressWindows.Local:
                    local |= 1u << lane;
                    break;
                case AddressWindows.Parameter:
                    break;
                default:
                    global |= 1u << lane;
                    continue;
            }
            w.Addresses[lane] = (uint)w.Addresses[lane];
        }
        if (global != 0)
            Record(w, i, global, bytes, StateSpace.Global);
        if (shared != 0)
            Record(w, i, shared, bytes, StateSpace.Shared);
        if (local != 0)
            Record(w, i, local, bytes, StateSpace.Local);
    }

    private static void Record(Warp w, Instruction* i, uint mask, int bytes, StateSpace space)
    {
        BlockContext block = w.Block;
        BlockOrder order = block.Order!;
        bool atomic = i->Opcode is Opcode.Atom or Opcode.CpAsyncMbarrierArrive || (i->Opcode == Opcode.Mbarrier && (MbarrierOperation)i->Mode != MbarrierOperation.Init);
        bool writes = i->Opcode is Opcode.St or Opcode.Stmatrix || (i->Opcode == Opcode.Mbarrier && !atomic);
        bool synchronizing = i->Has(InstructionFlags.Synchronizing) || i->Has(InstructionFlags.Volatile);
        // What was done before a releasing access is ordered before what follows an acquiring one that sees it.
        if (i->Has(InstructionFlags.Synchronizing) && (writes || atomic))
            order.Fence(w.Index);
        var access = new WarpAccess
        {
            Kind = atomic ? AccessKind.Atomic : writes ? AccessKind.Write : AccessKind.Read,
            Addresses = w.Addresses, Mask = mask, Bytes = bytes, Region = default, IsSynchronizing = synchronizing, Pc = w.PcOf(i),
            Block = block.LinearIndex, FirstThread = w.FirstThread, Time = order.Time(w.Index), Order = order,
            Values = i->Opcode == Opcode.St ? StoredValues(w, i, bytes) : null,
        };
        switch (space)
        {
            case StateSpace.Global:
                block.Checks!.Access(access);
                break;
            case StateSpace.Shared:
                block.BlockChecks!.Shared(access, block.Shared);
                break;
            default:
                block.BlockChecks!.Local(access);
                break;
        }
    }

    /// <summary>Bytes that one lane accesses.</summary>
    public static int Bytes(Instruction* i) => i->Opcode switch
    {
        Opcode.Ldmatrix or Opcode.Stmatrix => 16,
        Opcode.Mbarrier or Opcode.CpAsyncMbarrierArrive => 8,
        Opcode.Atom => i->Type.Bytes(),
        _ => i->Type.Bytes() * i->Vector,
    };

    /// <summary>What the lanes store, side by side.</summary>
    private static byte* StoredValues(Warp w, Instruction* i, int bytes)
    {
        int each = i->Type.Bytes(), register = i->DeclaredType.Bytes() == 8 ? 8 : 4;
        if (i->Vector == 1 && each == register)
            return w.R + i->B;
        byte* values = w.Scratch + Values;
        for (int k = 0; k < i->Vector; k++)
        {
            byte* from = w.R + (i->Vector == 1 ? i->B : w.Operands[i->List + k]);
            for (int lane = 0; lane < 32; lane++)
                Buffer.MemoryCopy(from + register * lane, values + bytes * lane + each * k, each, each);
        }
        return values;
    }

    /// <summary>The global side is read when the copy is issued; shared memory is written when it is waited for, and undefined until then.</summary>
    private static void Copy(Warp w, Instruction* i, uint mask)
    {
        int before = w.Copies.Copies.Count;
        if (w.Block.BlockChecks is not null)
        {
            AsyncCopies.PrepareSource(w, i, mask);
            ulong* saved = (ulong*)(w.Scratch + SavedAddresses);
            new Span<ulong>(w.Addresses, 32).CopyTo(new Span<ulong>(saved, 32));
            for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
            {
                int lane = BitOperations.TrailingZeroCount(lanes), size = AsyncCopies.SourceBytes(w, i, lane);
                if (size == 0)
                    continue;
                GlobalSpace.Each(w, i, 1u << lane, size, false);
                w.Addresses[lane] = saved[lane];
                Record(w, i, 1u << lane, size, StateSpace.Global);
            }
        }
        ((delegate*<Warp, Instruction*, uint, void>)w.Program.Plain[w.PcOf(i)])(w, i, mask);
        for (int k = before; k < w.Copies.Copies.Count; k++)
            w.Block.BlockChecks?.Undefine(w.Copies.Copies[k].To - (nint)w.Block.Shared, i->Vector);
    }

    /// <summary>An asynchronous copy of one lane arrives in shared memory.</summary>
    public static void CopyArrived(Warp w, int lane, int pc, ulong address, int bytes)
    {
        if (w.Block.BlockChecks is not { } checks)
            return;
        w.Addresses[lane] = address;
        var access = new WarpAccess
        {
            Kind = AccessKind.Write, Addresses = w.Addresses, Mask = 1u << lane, Bytes = bytes, Region = default, IsSynchronizing = false, Pc = pc,
            Block = w.Block.LinearIndex, FirstThread = w.FirstThread, Time = w.Block.Order!.Time(w.Index), Order = w.Block.Order,
        };
        checks.Shared(access, w.Block.Shared);
    }

    private static void Fence(Warp w, Instruction* i, uint mask)
    {
        w.Block.Order!.Fence(w.Index);
        ((delegate*<Warp, Instruction*, uint, void>)w.Program.Plain[w.PcOf(i)])(w, i, mask);
    }

    /// <summary>The result of printf is an int.</summary>
    private static void Builtin(Warp w, Instruction* i, uint mask)
    {
        ((delegate*<Warp, Instruction*, uint, void>)w.Program.Plain[w.PcOf(i)])(w, i, mask);
        int result = w.Operands[i->List];
        for (uint lanes = result < 0 ? 0 : mask; lanes != 0; lanes &= lanes - 1)
            w.Block.BlockChecks?.DefineLocal(w.FirstThread + BitOperations.TrailingZeroCount(lanes), result, sizeof(int));
    }
}
