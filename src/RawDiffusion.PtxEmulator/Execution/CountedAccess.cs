using System.Numerics;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Accesses to memory in counted mode: what they ask of the memory system is counted, then they are executed.</summary>
internal static unsafe class CountedAccess
{
    public static nint Select(in Instruction i, nint plain) => i.Opcode switch
    {
        Opcode.Ld or Opcode.St or Opcode.Atom or Opcode.Ldmatrix or Opcode.Stmatrix
            when i.Space is StateSpace.Global or StateSpace.Shared or StateSpace.Generic => Handlers.At(&Access),
        Opcode.CpAsync => Handlers.At(&Copy),
        _ => plain,
    };

    private static void Access(Warp w, Instruction* i, uint mask)
    {
        int bytes = CheckedAccess.Bytes(i);
        uint lanes = i->Opcode is Opcode.Ldmatrix or Opcode.Stmatrix && i->Vector < 4 ? (1u << (8 * i->Vector)) - 1 : mask;
        AddressSpaces.Prepare(w, i, lanes, bytes);
        uint shared = i->Space == StateSpace.Shared ? lanes : 0, global = i->Space == StateSpace.Global ? lanes : 0;
        if (i->Space == StateSpace.Generic)
        {
            for (uint rest = lanes; rest != 0; rest &= rest - 1)
            {
                int lane = BitOperations.TrailingZeroCount(rest);
                ulong window = w.Addresses[lane] & AddressWindows.Mask;
                if (window == AddressWindows.Shared)
                    shared |= 1u << lane;
                else if (window is not (AddressWindows.Local or AddressWindows.Parameter))
                    global |= 1u << lane;
            }
        }
        ref InstructionCounts counts = ref w.Block.Counts![w.PcOf(i)];
        if (global != 0)
            CountGlobal(w, ref counts, global, bytes);
        if (shared != 0)
            CountShared(w, ref counts, shared, bytes);
        ((delegate*<Warp, Instruction*, uint, void>)w.Program.Plain[w.PcOf(i)])(w, i, mask);
    }

    private static void Copy(Warp w, Instruction* i, uint mask)
    {
        ref InstructionCounts counts = ref w.Block.Counts![w.PcOf(i)];
        AddressSpaces.Prepare(w, i, mask, i->Vector);
        CountShared(w, ref counts, mask, i->Vector);
        AsyncCopies.PrepareSource(w, i, mask);
        // Lanes that fill with zeros only touch no sector.
        uint reading = mask;
        for (uint rest = mask; rest != 0; rest &= rest - 1)
        {
            int lane = BitOperations.TrailingZeroCount(rest);
            if (AsyncCopies.SourceBytes(w, i, lane) == 0)
                reading &= ~(1u << lane);
        }
        if (reading != 0)
            CountGlobal(w, ref counts, reading, i->Vector);
        ((delegate*<Warp, Instruction*, uint, void>)w.Program.Plain[w.PcOf(i)])(w, i, mask);
    }

    private static void CountGlobal(Warp w, ref InstructionCounts counts, uint mask, int bytes)
    {
        ulong* sectors = (ulong*)w.Scratch;
        int count = 0;
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            ulong sector = w.Addresses[BitOperations.TrailingZeroCount(lanes)] >> 5;
            bool known = false;
            // Neighbouring lanes mostly share a sector: look at the newest first.
            for (int k = count - 1; k >= 0 && !known; k--)
                known = sectors[k] == sector;
            if (!known)
                sectors[count++] = sector;
        }
        counts.GlobalRequests++;
        counts.GlobalSectors += count;
        counts.GlobalBytes += (long)BitOperations.PopCount(mask) * bytes;
    }

    /// <summary>
    /// 32 banks of 4 bytes answer one word each per pass, to any number of lanes. Accesses of 8 bytes go by halves of a warp, of 16 by quarters.
    /// </summary>
    private static void CountShared(Warp w, ref InstructionCounts counts, uint mask, int bytes)
    {
        uint* words = (uint*)w.Scratch;
        int lanesTogether = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8, wordsEach = Math.Max(1, bytes / 4);
        byte* load = (byte*)words + 512;
        for (int from = 0; from < 32; from += lanesTogether)
        {
            int count = 0, passes = 0;
            new Span<byte>(load, 32).Clear();
            for (int lane = from; lane < from + lanesTogether; lane++)
            {
                if ((mask >> lane & 1) == 0)
                    continue;
                for (int k = 0; k < wordsEach; k++)
                {
                    uint word = (uint)((w.Addresses[lane] & 0xFFFFFFFF) / 4) + (uint)k;
                    if (new Span<uint>(words, count).Contains(word))
                        continue;
                    words[count++] = word;
                    passes = Math.Max(passes, ++load[word & 31]);
                }
            }
            counts.SharedPasses += passes;
        }
        counts.SharedRequests++;
        counts.SharedBytes += (long)BitOperations.PopCount(mask) * bytes;
    }
}
