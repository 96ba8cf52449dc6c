using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>
/// How many registers a kernel would need, estimated: PTX has as many as it likes, and only the assembler for a real GPU assigns them. A
/// value is taken to live from the first to the last instruction that names it, in the order of the code, and through every loop that it
/// lives into. The most that live at once, in units of 32 bits, plus a few that an assembler uses for addresses and constants.
/// </summary>
internal static class RegisterEstimate
{
    private const int Fixed = 8, Least = 16, Most = 255;

    public static int Of(DecodedKernel kernel)
    {
        var ranges = Ranges(kernel);
        ExtendThroughLoops(kernel, ranges);
        int[] change = new int[kernel.Code.Length + 1];
        foreach (var (first, last, width) in ranges.Values)
        {
            change[first] += width;
            change[last + 1 <= kernel.Code.Length ? last + 1 : kernel.Code.Length] -= width;
        }
        int live = 0, most = 0;
        foreach (int each in change)
            most = Math.Max(most, live += each);
        return Math.Clamp(most + Fixed, Least, Most);
    }

    private static Dictionary<int, (int First, int Last, int Width)> Ranges(DecodedKernel kernel)
    {
        var constants = new HashSet<int>(kernel.Constants.Select(constant => constant.Slot).Concat(kernel.Specials.Select(special => special.Slot)));
        var ranges = new Dictionary<int, (int First, int Last, int Width)>();
        for (int pc = 0; pc < kernel.Code.Length; pc++)
        {
            ref readonly var instruction = ref kernel.Code[pc];
            // Predicates live in registers of their own kind; their slots are not multiples of 64, mostly.
            int width = Math.Max(instruction.Type.Bytes(), instruction.DeclaredType.Bytes()) > 4 ? 2 : 1;
            ReadOnlySpan<int> slots = [instruction.D, instruction.A, instruction.B, instruction.C,
                .. kernel.Operands.AsSpan(instruction.List, instruction.ListCount)];
            foreach (int slot in slots)
            {
                if (slot < 0 || slot % 64 != 0 || constants.Contains(slot))
                    continue;
                ranges[slot] = ranges.TryGetValue(slot, out var range) ? (range.First, pc, Math.Min(range.Width, width)) : (pc, pc, width);
            }
        }
        return ranges;
    }

    private static void ExtendThroughLoops(DecodedKernel kernel, Dictionary<int, (int First, int Last, int Width)> ranges)
    {
        for (int pc = 0; pc < kernel.Code.Length; pc++)
        {
            int target = kernel.Code[pc].Target;
            if (kernel.Code[pc].Opcode != Opcode.Bra || target > pc)
                continue;
            foreach (var (slot, (first, last, width)) in ranges)
            {
                if (first < target && last >= target && last < pc)
                    ranges[slot] = (first, pc, width);
            }
        }
    }
}
