using System.Numerics;
using System.Runtime.CompilerServices;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>32 threads with their registers, and the loop that executes them.</summary>
internal sealed unsafe partial class Warp
{
    /// <summary>The register file; see <see cref="Instruction"/>.</summary>
    public readonly byte* R;

    public readonly BlockContext Block;
    public readonly Program Program;
    public readonly Instruction* Code;

    /// <summary>The lists of <see cref="DecodedKernel.Operands"/>.</summary>
    public readonly int* Operands;

    public readonly int Index;

    /// <summary>Linear index in the block of the thread in lane 0.</summary>
    public readonly int FirstThread;

    /// <summary>Lanes that are threads of the block.</summary>
    public readonly uint Exists;

    /// <summary>Local memory of lane 0; that of lane i is <see cref="LocalStride"/> * i further on.</summary>
    public readonly byte* Local;

    public readonly int LocalStride;

    /// <summary>The addresses of the access that is being executed, one per lane.</summary>
    public readonly ulong* Addresses;

    /// <summary>Room for one register of 64 bits and more: 1 KiB.</summary>
    public readonly byte* Scratch;

    /// <summary>Asynchronous copies that are not done yet.</summary>
    public readonly AsyncCopies.Queue Copies = new();

    /// <summary>Room for the factors of mma.</summary>
    public (TensorCore.Operands Rows, TensorCore.Operands Columns)? Fragments;

    /// <summary>Instructions that the block had executed at the last one that asked.</summary>
    public long Clock;

    /// <summary>Lanes that have not left the kernel.</summary>
    public uint Live;

    /// <summary>Lanes of the split that is being executed, whatever the guard of the instruction.</summary>
    public uint Active;

    public Warp(BlockContext block, int index, byte* registers, byte* local, byte* scratch)
    {
        Block = block;
        Program = block.Program;
        Code = Program.Code;
        Operands = Program.Operands;
        Index = index;
        FirstThread = index * 32;
        int threads = (int)Math.Min(32, block.Threads - FirstThread);
        Exists = threads == 32 ? uint.MaxValue : (1u << threads) - 1;
        R = registers;
        Local = local;
        LocalStride = Program.LocalStride;
        Addresses = (ulong*)scratch;
        Scratch = scratch + 256;
    }

    public bool IsReady => _current is not null || _readyCount > 0;

    public DecodedKernel Kernel => Program.Kernel;

    public int PcOf(Instruction* instruction) => (int)(instruction - Code);

    public Dim3 ThreadOf(int lane)
    {
        int thread = FirstThread + lane, x = Block.Size.X, y = Block.Size.Y;
        return new Dim3(thread % x, thread / x % y, thread / (x * y));
    }

    /// <summary>Executes until no split is ready, the warp gives way or <paramref name="slice"/> instructions are done; returns how many were.</summary>
    public long Run(long slice) => Program.Mode == ExecutionMode.Counted ? Run<Counted>(slice) : Run<Plain>(slice);

    private struct Plain;

    private struct Counted;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private long Run<TMode>(long slice)
    {
        long left = slice;
        byte* registers = R;
        Instruction* code = Code;
        _givesWay = false;
        while (true)
        {
            if (_givesWay || left <= 0 || !PickSplit())
            {
                Rotate();
                return slice - left;
            }
            Split split = _current!;
            if (split.Pc == split.Meet)
            {
                Finish(split);
                continue;
            }
            uint active = split.Mask;
            Active = active;
            Instruction* ip = code + split.Pc;
            Instruction* meet = split.Meet < 0 ? null : code + split.Meet;
            // A split alone runs until it must stop; among several each gets a turn, so that one that spins lets the others on.
            long stop = _readyCount == 0 ? 0 : Math.Max(0, left - SplitTurn);
            while (true)
            {
                Instruction* i = ip;
                uint mask = active;
                if (i->Guard >= 0)
                    mask &= *(uint*)(registers + i->Guard) ^ (uint)-(int)((uint)i->Flags & 1);
                if (typeof(TMode) == typeof(Counted))
                    Block.Counts!.Execute(i, (int)(i - code), mask);
                left--;
                if (i->Execute != 0)
                {
                    if (mask != 0)
                        ((delegate*<Warp, Instruction*, uint, void>)i->Execute)(this, i, mask);
                    ip++;
                }
                else if (i->Opcode == Opcode.Bra)
                {
                    if (mask == 0)
                        ip++;
                    else if (mask == active)
                        ip = code + i->Target;
                    else
                    {
                        split.Pc = (int)(i - code);
                        if (typeof(TMode) == typeof(Counted))
                            Block.Counts!.Diverge(split.Pc);
                        Diverge(split, i, mask);
                        break;
                    }
                }
                else
                {
                    split.Pc = (int)(i - code);
                    Clock = Block.Executed + slice - left;
                    if (mask == 0)
                        split.Pc++;
                    else
                        Control(split, i, mask);
                    break;
                }
                if (ip == meet)
                {
                    Finish(split);
                    break;
                }
                if (left <= stop)
                {
                    split.Pc = (int)(ip - code);
                    Rotate();
                    break;
                }
            }
        }
    }

    /// <summary>Stops the launch with a report about the lowest lane of the mask.</summary>
    public EmulationFaultException Fault(
        HazardKind kind, Instruction* instruction, uint mask, string message, StateSpace space = StateSpace.Generic, ulong? address = null, string? allocation = null)
    {
        int pc = PcOf(instruction);
        int lane = mask == 0 ? 0 : BitOperations.TrailingZeroCount(mask);
        return new EmulationFaultException(new HazardReport
        {
            Kind = kind, Kernel = Kernel.Name, Message = message, Space = space, Address = address, Allocation = allocation,
            Parties = [Party(pc, lane, instruction->Opcode.ToString().ToLowerInvariant())],
        });
    }

    public HazardParty Party(int pc, int lane, string what) =>
        new(Block.Index, ThreadOf(lane), LineOf(pc), Kernel.DescribePtx(pc), what);

    private SourceLine? LineOf(int pc) => Code[pc].Line >= 0 ? Kernel.Lines[Code[pc].Line] : null;
}
