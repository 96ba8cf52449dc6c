using System.Runtime.InteropServices;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Memory and warps for one block at a time; a worker runs many blocks in it, one after the other.</summary>
internal sealed unsafe partial class BlockContext : IDisposable
{
    public readonly Program Program;
    public readonly Dim3 Size;
    public readonly Dim3 GridSize;
    public readonly int Threads;
    public readonly Warp[] Warps;
    public readonly byte* Shared;

    /// <summary>Static and dynamic shared memory of the block.</summary>
    public readonly int SharedBytes;

    public readonly byte* Parameters;

    /// <summary>For each instruction the region of global memory that it accessed last.</summary>
    public readonly MemoryRegion* Regions;

    private readonly byte* _memory;
    private readonly int _dynamicShared;
    private readonly int[] _order;

    public KernelLaunch Launch = null!;
    public LaunchOptions Options = null!;
    public MemorySpace Memory = null!;
    public LaunchChecks? Checks;
    public BlockCounts? Counts;

    public Dim3 Index;
    public long LinearIndex;

    /// <summary>Threads that have not left the kernel.</summary>
    public int LiveThreads;

    /// <summary>Instructions executed by all warps of this block.</summary>
    public long Executed;

    public BlockContext(Program program, KernelLaunch launch)
    {
        Program = program;
        Size = launch.Block;
        GridSize = launch.Grid;
        Threads = (int)launch.Block.Count;
        _dynamicShared = launch.DynamicShared;
        DecodedKernel kernel = program.Kernel;
        SharedBytes = kernel.StaticSharedBytes + launch.DynamicShared;
        int warps = (Threads + 31) / 32;
        long registers = Round(kernel.RegisterBytes), local = Round(32L * program.LocalStride), scratch = 2048;
        long shared = Round(SharedBytes + 64), parameters = Round(kernel.ParameterBytes + 64);
        long regions = Round((long)kernel.Code.Length * sizeof(MemoryRegion));
        long total = warps * (registers + local + scratch) + shared + parameters + regions;
        byte* at = _memory = (byte*)NativeMemory.AlignedAlloc((nuint)total, 64);
        NativeMemory.Clear(_memory, (nuint)total);
        Shared = at;
        Parameters = at + shared;
        Regions = (MemoryRegion*)(at + shared + parameters);
        at += shared + parameters + regions;
        Warps = new Warp[warps];
        _order = new int[warps];
        for (int w = 0; w < warps; w++)
        {
            Warps[w] = new Warp(this, w, at, at + registers, at + registers + local);
            at += registers + local + scratch;
            FillConstants(Warps[w]);
        }
        if (program.Mode == ExecutionMode.Checked)
            Order = new BlockOrder(warps);
        if (program.Mode == ExecutionMode.Counted)
            Counts = new BlockCounts(kernel);

        static long Round(long bytes) => (bytes + 63) & ~63L;
    }

    /// <summary>In checked mode: what the barriers of the block order.</summary>
    public BlockOrder? Order { get; }

    /// <summary>In checked mode: what is known of shared and local memory; null where the memory space keeps no such state.</summary>
    public BlockChecks? BlockChecks { get; private set; }

    public bool Fits(KernelLaunch launch) =>
        launch.Block == Size && launch.Grid == GridSize && launch.DynamicShared == _dynamicShared;

    public void Dispose()
    {
        BlockChecks?.Dispose();
        NativeMemory.AlignedFree(_memory);
        GC.SuppressFinalize(this);
    }

    ~BlockContext() => NativeMemory.AlignedFree(_memory);

    /// <summary>Makes the context ready for the blocks of a launch.</summary>
    public void Begin(KernelLaunch launch, LaunchChecks? checks)
    {
        Launch = launch;
        Options = launch.Options;
        Memory = launch.Memory;
        Checks = checks;
        BlockChecks?.Dispose();
        BlockChecks = checks?.ForBlocks();
        launch.Parameters.CopyTo(new Span<byte>(Parameters, Program.Kernel.ParameterBytes));
        new Span<byte>(Regions, Program.Kernel.Code.Length * sizeof(MemoryRegion)).Clear();
    }

    private void FillConstants(Warp warp)
    {
        foreach (ConstantSlot constant in Program.Kernel.Constants)
        {
            ulong value = constant.Value;
            if (constant.Global >= 0)
                value += Program.Linked.VariableAddresses[constant.Global];
            if (constant.Type == PtxType.Pred)
                *(uint*)(warp.R + constant.Slot) = (uint)value;
            else if (constant.Type.Bytes() == 8)
                new Span<ulong>(warp.R + constant.Slot, 32).Fill(value);
            else
                new Span<uint>(warp.R + constant.Slot, 32).Fill((uint)value);
        }
        foreach (SpecialSlot special in Program.Kernel.Specials)
        {
            uint* slot = (uint*)(warp.R + special.Slot);
            for (int lane = 0; lane < 32; lane++)
                slot[lane] = Special(special.Register, warp, lane);
        }
    }

    private uint Special(SpecialRegister register, Warp warp, int lane) => register switch
    {
        SpecialRegister.TidX => (uint)warp.ThreadOf(lane).X,
        SpecialRegister.TidY => (uint)warp.ThreadOf(lane).Y,
        SpecialRegister.TidZ => (uint)warp.ThreadOf(lane).Z,
        SpecialRegister.NtidX => (uint)Size.X,
        SpecialRegister.NtidY => (uint)Size.Y,
        SpecialRegister.NtidZ => (uint)Size.Z,
        SpecialRegister.CtaidX => (uint)Index.X,
        SpecialRegister.CtaidY => (uint)Index.Y,
        SpecialRegister.CtaidZ => (uint)Index.Z,
        SpecialRegister.NctaidX => (uint)GridSize.X,
        SpecialRegister.NctaidY => (uint)GridSize.Y,
        SpecialRegister.NctaidZ => (uint)GridSize.Z,
        SpecialRegister.LaneId => (uint)lane,
        SpecialRegister.WarpId => (uint)warp.Index,
        SpecialRegister.NwarpId => (uint)Warps.Length,
        SpecialRegister.WarpSize => 32,
        SpecialRegister.SmId => 0,
        SpecialRegister.NsmId => 1,
        SpecialRegister.GridId => 0,
        SpecialRegister.DynamicSharedSize => (uint)_dynamicShared,
        SpecialRegister.TotalSharedSize => (uint)SharedBytes,
        SpecialRegister.LaneMaskEq => 1u << lane,
        SpecialRegister.LaneMaskLe => (uint)((2ul << lane) - 1),
        SpecialRegister.LaneMaskLt => (1u << lane) - 1,
        SpecialRegister.LaneMaskGe => uint.MaxValue << lane,
        SpecialRegister.LaneMaskGt => (uint)(0xFFFFFFFE_00000000ul >> (32 - lane)),
        _ => throw new NotSupportedException($"{Program.Kernel.Name}: special register {register} is not one that stays the same."),
    };

    private void StartBlock(long linear)
    {
        LinearIndex = linear;
        Index = new Dim3((int)(linear % GridSize.X), (int)(linear / GridSize.X % GridSize.Y), (int)(linear / GridSize.X / GridSize.Y));
        LiveThreads = Threads;
        Executed = 0;
        // What shared memory holds at first is undefined: a value that shows.
        new Span<byte>(Shared, SharedBytes).Fill(0xFF);
        foreach (SpecialSlot special in Program.Kernel.Specials)
        {
            if (special.Register is not (SpecialRegister.CtaidX or SpecialRegister.CtaidY or SpecialRegister.CtaidZ))
                continue;
            uint value = Special(special.Register, Warps[0], 0);
            foreach (Warp warp in Warps)
                new Span<uint>(warp.R + special.Slot, 32).Fill(value);
        }
        foreach (Warp warp in Warps)
            warp.Start();
        ResetBarriers();
        if (BlockChecks is not null)
            BlockChecks.Begin(linear, Order!);
        else
            Order?.Reset();
    }
}
