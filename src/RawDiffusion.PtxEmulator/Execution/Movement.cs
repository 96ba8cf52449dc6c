using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Memory;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Moves between registers, special registers, and addresses from one state space to another.</summary>
internal static unsafe class Movement
{
    public static nint Select(in Instruction i) => i.Opcode switch
    {
        Opcode.Mov => i.Type == PtxType.Pred ? At(&MovePredicate) : i.Type.Bytes() == 8 ? At(&Move64) : At(&Move32),
        Opcode.MovPack => i.Type.Bytes() is 4 or 8 ? At(&Pack) : 0,
        Opcode.MovUnpack => i.Type.Bytes() is 4 or 8 ? At(&Unpack) : 0,
        Opcode.Cvta => (i.Type.Bytes(), Window(i.Space)) switch
        {
            (8, 0) => At(&Move64),
            (8, _) => At(&ConvertAddress),
            // 32-bit generic addresses belong to 32-bit PTX, which no longer exists.
            _ => 0,
        },
        Opcode.Isspacep => At(&IsInSpace),
        _ => 0,
    };

    private static ulong Window(StateSpace space) => space switch
    {
        StateSpace.Shared => AddressWindows.Shared,
        StateSpace.Local => AddressWindows.Local,
        StateSpace.Parameter => AddressWindows.Parameter,
        _ => 0,
    };

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Move32(Warp w, Instruction* i, uint mask) =>
        Lanes.Store32(w.R + i->D, Lanes.Load32(w.R + i->A, 0), Lanes.Load32(w.R + i->A, 1), mask);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Move64(Warp w, Instruction* i, uint mask)
    {
        for (int q = 0; q < 4; q++)
            Lanes.Store64(w.R + i->D, Lanes.Load64(w.R + i->A, q), q, mask);
    }

    private static void MovePredicate(Warp w, Instruction* i, uint mask) => Lanes.StorePredicate(w.R + i->D, *(uint*)(w.R + i->A), mask);

    private static void Pack(Warp w, Instruction* i, uint mask)
    {
        int* list = w.Operands + i->List;
        int count = i->ListCount, bits = 8 * i->Type.Bytes() / count;
        bool from64 = bits == 64;
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            ulong value = 0;
            for (int k = 0; k < count; k++)
            {
                ulong part = from64 ? ((ulong*)(w.R + list[k]))[lane] : ((uint*)(w.R + list[k]))[lane] & (ulong.MaxValue >> (64 - bits));
                value |= part << (bits * k);
            }
            if (i->Type.Bytes() == 8)
                ((ulong*)(w.R + i->D))[lane] = value;
            else
                ((uint*)(w.R + i->D))[lane] = (uint)value;
        }
    }

    private static void Unpack(Warp w, Instruction* i, uint mask)
    {
        int* list = w.Operands + i->List;
        int count = i->ListCount, bits = 8 * i->Type.Bytes() / count;
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            ulong value = i->Type.Bytes() == 8 ? ((ulong*)(w.R + i->A))[lane] : ((uint*)(w.R + i->A))[lane];
            for (int k = 0; k < count; k++)
            {
                if (list[k] >= 0)
                    ((uint*)(w.R + list[k]))[lane] = (uint)((value >> (bits * k)) & (ulong.MaxValue >> (64 - bits)));
            }
        }
    }

    public static void ReadSpecial(Warp w, Instruction* i, uint mask)
    {
        // Clocks count executed instructions, so that a run repeats exactly; the timer is real.
        ulong clock = (ulong)w.Clock;
        ulong nanoseconds = (ulong)(Stopwatch.GetTimestamp() * (1e9 / Stopwatch.Frequency));
        ulong value = (SpecialRegister)i->Mode switch
        {
            SpecialRegister.Clock or SpecialRegister.Clock64 => clock,
            SpecialRegister.ClockHi => clock >> 32,
            SpecialRegister.GlobalTimer or SpecialRegister.GlobalTimerLo => nanoseconds,
            SpecialRegister.GlobalTimerHi => nanoseconds >> 32,
            _ => throw new NotSupportedException($"{(SpecialRegister)i->Mode} is not a special register that changes: {w.Kernel.Describe(w.PcOf(i))}"),
        };
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            if (i->DeclaredType.Bytes() == 8)
                ((ulong*)(w.R + i->D))[lane] = value;
            else
                ((uint*)(w.R + i->D))[lane] = (uint)value;
        }
    }

    private static void ConvertAddress(Warp w, Instruction* i, uint mask)
    {
        ulong window = Window(i->Space);
        Vector512<ulong> distance = Vector512.Create(i->Has(InstructionFlags.To) ? 0 - window : window);
        for (int q = 0; q < 4; q++)
        {
            // The null pointer is null in every space.
            Vector512<ulong> address = Lanes.Load64(w.R + i->A, q);
            Vector512<ulong> moved = address + distance;
            if (i->Has(InstructionFlags.To))
                moved = Vector512.ConditionalSelect(Vector512.Equals(address, Vector512<ulong>.Zero), address, moved);
            Lanes.Store64(w.R + i->D, moved, q, mask);
        }
    }

    private static void IsInSpace(Warp w, Instruction* i, uint mask)
    {
        ulong* address = (ulong*)(w.R + i->A);
        uint bits = 0;
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong window = address[lane] & AddressWindows.Mask;
            bool inside = i->Space switch
            {
                StateSpace.Shared or StateSpace.Local or StateSpace.Parameter => window == Window(i->Space),
                _ => window is not (AddressWindows.Shared or AddressWindows.Local or AddressWindows.Parameter),
            };
            if (inside && i->Space is StateSpace.Constant or StateSpace.Global)
                inside = w.Block.Memory.TryFind(address[lane], out MemoryRegion region) ? region.IsReadOnly == (i->Space == StateSpace.Constant) : i->Space == StateSpace.Global;
            bits |= inside ? 1u << lane : 0;
        }
        Lanes.StorePredicate(w.R + i->D, bits, mask);
    }
}
