using System.Runtime.InteropServices;

namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>
/// Finds where diverged lanes meet again: the immediate post-dominator of each branch. Source: K. Cooper, T. Harvey, K. Kennedy, A
/// Simple, Fast Dominance Algorithm, on the reversed graph.
/// </summary>
/// <remarks>
/// Lanes that leave the kernel need no meeting place. So a branch to an instruction that only exits ("if (i >= n) return;") does not count
/// as a path: else the lanes that stay would meet again only at the end of the kernel.
/// </remarks>
internal static class ControlFlow
{
    /// <summary>Fills <see cref="Instruction.Reconverge"/> of the branches in code[start..end), which is one function or kernel.</summary>
    public static void SetReconvergence(List<Instruction> list, int start, int end, IReadOnlyList<int> operands)
    {
        var code = CollectionsMarshal.AsSpan(list);
        var (blocks, successors) = FlowGraph.Build(code, start, end, operands);
        int count = successors.Length, exit = count;
        var predecessors = new List<int>[count + 1];
        for (int b = 0; b <= count; b++)
            predecessors[b] = [];
        for (int b = 0; b < count; b++)
        {
            if (successors[b].Count > 1)
                DropExits(successors[b], code, blocks, exit);
            foreach (int s in successors[b])
                predecessors[s].Add(b);
        }
        ConnectEndless(successors, predecessors, exit);
        int[] immediate = PostDominators(successors, predecessors, exit);
        for (int b = 0; b < count; b++)
        {
            ref var last = ref code[blocks[b + 1] - 1];
            if (last.Opcode is Opcode.Bra or Opcode.BrxIdx)
                last.Reconverge = immediate[b] < 0 || immediate[b] == exit ? -1 : blocks[immediate[b]];
        }
    }

    private static void DropExits(List<int> successors, ReadOnlySpan<Instruction> code, int[] blocks, int exit)
    {
        for (int i = successors.Count - 1; i >= 0 && successors.Count > 1; i--)
        {
            bool leaves = successors[i] == exit;
            if (!leaves)
            {
                ref readonly var first = ref code[blocks[successors[i]]];
                leaves = first.Opcode is Opcode.Exit or Opcode.Trap && first.Guard < 0;
            }
            if (leaves)
                successors.RemoveAt(i);
        }
    }

    /// <summary>Blocks from which no path leads to the exit get one, so that every block has a post-dominator.</summary>
    private static void ConnectEndless(List<int>[] successors, List<int>[] predecessors, int exit)
    {
        var reaches = new bool[exit + 1];
        Mark(predecessors, reaches, exit);
        // From the last block on: the block that jumps back is the end of an endless loop.
        for (int b = exit - 1; b >= 0; b--)
        {
            if (reaches[b])
                continue;
            successors[b].Add(exit);
            predecessors[exit].Add(b);
            Mark(predecessors, reaches, b);
        }
    }

    private static void Mark(List<int>[] predecessors, bool[] reaches, int from)
    {
        var work = new Stack<int>([from]);
        reaches[from] = true;
        while (work.TryPop(out int block))
        {
            foreach (int p in predecessors[block])
            {
                if (!reaches[p])
                {
                    reaches[p] = true;
                    work.Push(p);
                }
            }
        }
    }

    private static int[] PostDominators(List<int>[] successors, List<int>[] predecessors, int exit)
    {
        // Post-order of the reversed graph from the exit; the exit has the highest number.
        int[] number = new int[exit + 1];
        Array.Fill(number, -1);
        var order = new List<int>(exit + 1);
        var visited = new bool[exit + 1];
        var stack = new Stack<(int Block, int Next)>([(exit, 0)]);
        visited[exit] = true;
        while (stack.TryPop(out var top))
        {
            if (top.Next < predecessors[top.Block].Count)
            {
                stack.Push((top.Block, top.Next + 1));
                int p = predecessors[top.Block][top.Next];
                if (!visited[p])
                {
                    visited[p] = true;
                    stack.Push((p, 0));
                }
            }
            else
            {
                number[top.Block] = order.Count;
                order.Add(top.Block);
            }
        }
        int[] immediate = new int[exit + 1];
        Array.Fill(immediate, -1);
        immediate[exit] = exit;
        bool changed = true;
        while (changed)
        {
            changed = false;
            for (int i = order.Count - 2; i >= 0; i--)
            {
                int block = order[i], found = -1;
                foreach (int s in successors[block])
                {
                    if (immediate[s] >= 0)
                        found = found < 0 ? s : Intersect(s, found);
                }
                if (immediate[block] != found)
                {
                    immediate[block] = found;
                    changed = true;
                }
            }
        }
        return immediate;

        int Intersect(int a, int b)
        {
            while (a != b)
            {
                while (number[a] < number[b])
                    a = immediate[a];
                while (number[b] < number[a])
                    b = immediate[b];
            }
            return a;
        }
    }
}
