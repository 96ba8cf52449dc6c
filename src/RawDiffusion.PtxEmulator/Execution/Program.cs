using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>A kernel made ready for one mode of execution: each instruction knows the code that executes it.</summary>
internal sealed unsafe class Program
{
    private static readonly ConditionalWeakTable<LinkedKernel, ConcurrentDictionary<(ExecutionMode, bool), Program>> s_programs = [];

    private readonly ConcurrentBag<BlockContext> _contexts = [];

    public readonly LinkedKernel Linked;
    public readonly DecodedKernel Kernel;
    public readonly ExecutionMode Mode;
    public readonly Instruction* Code;
    public readonly int* Operands;

    /// <summary>What executes each instruction without checks and counts; 0 for those that change the flow of control.</summary>
    public readonly nint[] Plain;

    private readonly bool _loops;

    /// <summary>Bytes of local memory per thread, rounded up to 16.</summary>
    public readonly int LocalStride;

    private Program(LinkedKernel linked, ExecutionMode mode, bool perturbed)
    {
        Linked = linked;
        Kernel = linked.Kernel;
        Mode = mode;
        LocalStride = (Kernel.LocalBytes + 15) & ~15;
        int count = Kernel.Code.Length;
        Code = (Instruction*)NativeMemory.AlignedAlloc((nuint)(Math.Max(1, count) * sizeof(Instruction)), 64);
        Operands = (int*)NativeMemory.AlignedAlloc((nuint)(Math.Max(1, Kernel.Operands.Length) * sizeof(int)), 64);
        Kernel.Code.CopyTo(new Span<Instruction>(Code, count));
        Kernel.Operands.CopyTo(new Span<int>(Operands, Kernel.Operands.Length));
        Plain = new nint[count];
        for (int pc = 0; pc < count; pc++)
        {
            Plain[pc] = Handlers.For(Kernel, pc, perturbed);
            _loops |= Code[pc].Opcode == Opcode.BrxIdx || (Code[pc].Opcode is Opcode.Bra or Opcode.Call && Code[pc].Target <= pc);
            Code[pc].Execute = Handlers.IsCollective(Code[pc].Opcode) ? 0 : Handlers.InMode(Kernel, pc, Plain[pc], mode);
        }
    }

    ~Program()
    {
        NativeMemory.AlignedFree(Code);
        NativeMemory.AlignedFree(Operands);
    }

    /// <exception cref="NotSupportedException">An instruction that is not executed.</exception>
    public static Program For(LinkedKernel kernel, LaunchOptions options) =>
        s_programs.GetOrCreateValue(kernel).GetOrAdd((options.Mode, options.ApproximationSeed is not null),
            static (key, kernel) => new Program(kernel, key.Item1, key.Item2), kernel);

    /// <summary>How many instructions the warps of a launch execute at most; unlimited where the kernel has loops.</summary>
    public long Instructions(KernelLaunch launch) =>
        _loops ? long.MaxValue / 2 : launch.Grid.Count * ((launch.Block.Count + 31) / 32) * Kernel.Code.Length;

    /// <summary>A place to run blocks of this launch in, used or new.</summary>
    public BlockContext Take(KernelLaunch launch)
    {
        if (_contexts.TryTake(out BlockContext? context))
        {
            if (context.Fits(launch))
                return context;
            context.Dispose();
        }
        return new BlockContext(this, launch);
    }

    public void Return(BlockContext context)
    {
        if (_contexts.Count < 2 * Environment.ProcessorCount)
            _contexts.Add(context);
        else
            context.Dispose();
    }
}
