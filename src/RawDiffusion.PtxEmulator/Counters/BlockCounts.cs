using System.Numerics;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Counters;

/// <summary>The counts of one worker; added to the launch's when a block ends, so that workers do not wait for each other.</summary>
internal sealed unsafe class BlockCounts(DecodedKernel kernel)
{
    private readonly InstructionCounts[] _counts = new InstructionCounts[kernel.Code.Length];
    private readonly int[] _flops = [.. kernel.Code.Select(instruction => FlopCount.PerLane(instruction))];

    public ref InstructionCounts this[int pc] => ref _counts[pc];

    public void Execute(Instruction* instruction, int pc, uint mask)
    {
        _ = instruction;
        int lanes = BitOperations.PopCount(mask);
        ref InstructionCounts counts = ref _counts[pc];
        counts.WarpExecutions++;
        counts.LaneExecutions += lanes;
        counts.Flops += lanes * _flops[pc];
    }

    public void Diverge(int pc) => _counts[pc].Divergences++;

    /// <summary>Adds what the block did and starts anew.</summary>
    public void EndBlock(KernelCounters total, int warps)
    {
        lock (total)
        {
            total.Blocks++;
            total.Warps += warps;
            for (int pc = 0; pc < _counts.Length; pc++)
                total.Instructions[pc].Add(_counts[pc]);
        }
        Array.Clear(_counts);
    }
}
