namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>The basic blocks of a function and which may follow which.</summary>
/// <param name="Starts">The first instructions of the blocks, ascending, and the end of the code.</param>
/// <param name="Successors">Of each block; the number of blocks stands for the exit.</param>
internal sealed record FlowGraph(int[] Starts, List<int>[] Successors)
{
    public int Count => Successors.Length;

    public static FlowGraph Build(ReadOnlySpan<Instruction> code, int start, int end, IReadOnlyList<int> operands)
    {
        int[] starts = FindBlocks(code, start, end, operands);
        int count = starts.Length - 1;
        var blockAt = new Dictionary<int, int>(count);
        for (int b = 0; b < count; b++)
            blockAt[starts[b]] = b;
        var successors = new List<int>[count];
        for (int b = 0; b < count; b++)
            successors[b] = Following(code, starts[b + 1] - 1, blockAt, end, count, operands);
        return new FlowGraph(starts, successors);
    }

    private static int[] FindBlocks(ReadOnlySpan<Instruction> code, int start, int end, IReadOnlyList<int> operands)
    {
        var leaders = new SortedSet<int> { start, end };
        for (int pc = start; pc < end; pc++)
        {
            ref readonly var instruction = ref code[pc];
            if (instruction.Opcode == Opcode.Bra)
                leaders.Add(instruction.Target);
            if (instruction.Opcode == Opcode.BrxIdx)
            {
                for (int i = 0; i < instruction.ListCount; i++)
                    leaders.Add(operands[instruction.List + i]);
            }
            if (EndsBlock(instruction.Opcode))
                leaders.Add(pc + 1);
        }
        return [.. leaders];
    }

    private static bool EndsBlock(Opcode opcode) => opcode is Opcode.Bra or Opcode.BrxIdx or Opcode.Exit or Opcode.Ret or Opcode.Trap;

    private static List<int> Following(
        ReadOnlySpan<Instruction> code, int pc, Dictionary<int, int> blockAt, int end, int exit, IReadOnlyList<int> operands)
    {
        ref readonly var last = ref code[pc];
        var next = new List<int>(2);
        switch (last.Opcode)
        {
            case Opcode.Bra:
                next.Add(blockAt[last.Target]);
                break;
            case Opcode.BrxIdx:
                for (int i = 0; i < last.ListCount; i++)
                    next.Add(blockAt[operands[last.List + i]]);
                break;
            case Opcode.Exit or Opcode.Ret or Opcode.Trap when last.Guard < 0:
                next.Add(exit);
                break;
        }
        if (last.Guard >= 0 || !EndsBlock(last.Opcode))
            next.Add(pc + 1 < end ? blockAt[pc + 1] : exit);
        return next;
    }
}
