using System.Numerics;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.PtxEmulator.Memory;

/// <summary>
/// What one launch is checked for in its memory, beyond bounds and alignment, which the executor has tested when it calls: reads of what was
/// never written, and races. Called by the threads that execute blocks; throws <see cref="EmulationFaultException"/>.
/// </summary>
public sealed unsafe class LaunchChecks
{
    private readonly GlobalMemory _memory;
    private readonly ulong _sequence;
    private EmulationFaultException? _undefined;

    internal LaunchChecks(KernelLaunch launch, GlobalMemory memory, ulong sequence)
    {
        (Launch, _memory, _sequence) = (launch, memory, sequence);
        Order = new LaunchOrder(sequence);
    }

    internal KernelLaunch Launch { get; }

    /// <summary>What the warps of the launch have told each other.</summary>
    internal LaunchOrder Order { get; }

    /// <summary>A warp executes a load, store, atomic or asynchronous copy of global memory; called before it happens.</summary>
    public void Access(in WarpAccess access)
    {
        for (uint left = access.Mask; left != 0;)
        {
            int lane = BitOperations.TrailingZeroCount(left);
            // A lane in no allocation was refused by the executor.
            var allocation = _memory.Find(access.Addresses[lane])!;
            uint lanes = LanesIn(in access, left, allocation.Address, allocation.End);
            left &= ~lanes;
            var shadow = allocation.Shadow!;
            if (AccessCheck.Lanes(shadow.Defined, shadow.RacesFor(_sequence), allocation.Address, allocation.Memory, Order.Tag, in access, lanes, out var problem))
                continue;
            if (problem.IsRace)
                throw Fault(in access, problem, StateSpace.Global, problem.Address, _memory.Describe(problem.Address));
            // If another thread writes there in this launch, it was a race that the reader won. So the launch goes on, with the bytes taken
            // for written.
            if (_undefined is null)
                Interlocked.CompareExchange(ref _undefined, Fault(in access, problem, StateSpace.Global, problem.Address, _memory.Describe(problem.Address)), null);
            for (uint undefined = lanes; undefined != 0; undefined &= undefined - 1)
                shadow.Defined.Set((long)(access.Addresses[BitOperations.TrailingZeroCount(undefined)] - allocation.Address), access.Bytes);
            if (!AccessCheck.Lanes(shadow.Defined, shadow.RacesFor(_sequence), allocation.Address, allocation.Memory, Order.Tag, in access, lanes, out problem))
                throw Fault(in access, problem, StateSpace.Global, problem.Address, _memory.Describe(problem.Address));
        }
    }

    /// <summary>Ends the launch.</summary>
    /// <exception cref="EmulationFaultException">It has read global memory that was not written, not even later.</exception>
    public void End()
    {
        if (_undefined is not null)
            throw _undefined;
    }

    /// <summary>Forgets what a block did long before a barrier of all its threads.</summary>
    internal void Forget(long block, uint allBefore)
    {
        foreach (var allocation in _memory.Live)
            allocation.Shadow?.Forget(Order.Tag, block, allBefore);
    }

    /// <summary>What to report of a launch that was stopped: an undefined read is the cause of what it led to.</summary>
    public EmulationFaultException Cause(EmulationFaultException fault) =>
        _undefined is not null && fault.Report.Kind != HazardKind.Race ? _undefined : fault;

    /// <summary>The shadow of the memory of blocks, for one thread that executes them one after another.</summary>
    public BlockChecks ForBlocks() => new(this);

    /// <exception cref="EmulationFaultException">Always.</exception>
    internal void Fail(in WarpAccess access, AccessProblem problem, StateSpace space, ulong address, string? allocation) =>
        throw Fault(in access, problem, space, address, allocation);

    internal EmulationFaultException Fault(in WarpAccess access, AccessProblem problem, StateSpace space, ulong address, string? allocation)
    {
        int thread = access.FirstThread + problem.Lane;
        string what = $"{Verb(access.Kind)} of {access.Bytes} byte{(access.Bytes == 1 ? "" : "s")}";
        List<HazardParty> parties = [HazardParty.Of(Launch, access.Block, thread, access.Pc, what)];
        bool race = problem.IsRace;
        if (race)
        {
            // Blocks are numbered by 22 bits in a record, instructions by 16.
            long block = (access.Block & ~(long)AccessRecord.BlockMask) + problem.Other.Block;
            parties.Add(HazardParty.Of(Launch, block < Launch.Grid.Count ? block : problem.Other.Block, problem.Other.Thread, problem.Place,
                problem.Other.IsWrite ? problem.Other.Strong ? "earlier atomic or volatile write" : "earlier write" : "earlier read"));
        }
        return new EmulationFaultException(new HazardReport
        {
            Kind = race ? HazardKind.Race : HazardKind.UninitializedRead,
            Kernel = Launch.Kernel.Kernel.Name,
            Parties = parties,
            Message = race
                ? $"Race: two threads use the same {Name(space)} memory, at least one writes, and nothing orders them"
                : $"Read of {Name(space)} memory that was never written",
            Space = space,
            Address = address,
            Allocation = allocation,
        });
    }

    private static string Verb(AccessKind kind) => kind switch
    {
        AccessKind.Read => "read",
        AccessKind.Write => "write",
        _ => "atomic operation",
    };

    private static string Name(StateSpace space) => space.ToString().ToLowerInvariant();

    private static uint LanesIn(in WarpAccess access, uint lanes, ulong start, ulong end)
    {
        uint inside = 0;
        for (uint left = lanes; left != 0; left &= left - 1)
        {
            int lane = BitOperations.TrailingZeroCount(left);
            if (access.Addresses[lane] - start < end - start)
                inside |= 1u << lane;
        }
        return inside;
    }
}

/// <summary>The shadow of shared and local memory, for the blocks that one thread executes one after another.</summary>
public sealed unsafe class BlockChecks : IDisposable
{
    private readonly LaunchChecks _launch;
    private readonly DecodedKernel _kernel;
    private readonly int _sharedBytes;
    private readonly long _localStride;
    private readonly ByteBits _sharedDefined;
    private readonly RaceTable _sharedRaces;
    private readonly ByteBits _localDefined;
    private EmulationFaultException? _undefined;

    internal BlockChecks(LaunchChecks launch)
    {
        _launch = launch;
        _kernel = launch.Launch.Kernel.Kernel;
        _sharedBytes = _kernel.StaticSharedBytes + launch.Launch.DynamicShared;
        _localStride = (_kernel.LocalBytes + 31) & ~31;
        _sharedDefined = new ByteBits(_sharedBytes);
        _sharedRaces = new RaceTable(_sharedBytes);
        _localDefined = new ByteBits(_localStride * launch.Launch.Block.Count);
    }

    /// <summary>Begins a block: nothing of its memory is written, nothing ordered.</summary>
    public void Begin(long block, BlockOrder order)
    {
        order.Begin(_launch.Order, block);
        _sharedDefined.Fill(0, _sharedBytes, false);
        _sharedRaces.Clear(_sharedBytes);
        _localDefined.Fill(0, _localDefined.Bytes, false);
        _undefined = null;
    }

    /// <summary>Ends a block.</summary>
    /// <exception cref="EmulationFaultException">It has read shared memory that was not written, not even later.</exception>
    public void End()
    {
        if (_undefined is not null)
            throw _undefined;
    }

    /// <summary>What to report of a block that was stopped: an undefined read is the cause of what it led to.</summary>
    public EmulationFaultException Cause(EmulationFaultException fault) =>
        _undefined is not null && fault.Report.Kind != HazardKind.Race ? _undefined : fault;

    /// <summary>A warp uses shared memory. The addresses count from its beginning, where <paramref name="memory"/> points to.</summary>
    public void Shared(in WarpAccess access, byte* memory)
    {
        if (AccessCheck.Lanes(_sharedDefined, _sharedRaces, 0, memory, _launch.Order.Tag, in access, access.Mask, out var problem))
            return;
        if (problem.IsRace)
            throw _launch.Fault(in access, problem, StateSpace.Shared, problem.Address, DescribeShared(_kernel, problem.Address));
        // If another thread writes there before the next barrier, it was a race that the reader won. So the block goes on, with the bytes
        // taken for written.
        _undefined ??= _launch.Fault(in access, problem, StateSpace.Shared, problem.Address, DescribeShared(_kernel, problem.Address));
        for (uint left = access.Mask; left != 0; left &= left - 1)
            _sharedDefined.Set((long)access.Addresses[BitOperations.TrailingZeroCount(left)], access.Bytes);
        if (!AccessCheck.Lanes(_sharedDefined, _sharedRaces, 0, memory, _launch.Order.Tag, in access, access.Mask, out problem))
            throw _launch.Fault(in access, problem, StateSpace.Shared, problem.Address, DescribeShared(_kernel, problem.Address));
    }

    /// <summary>
    /// All that the block did is ordered before what it does from now on: in shared memory none of it matters any more. In global memory
    /// other blocks may race with it, so there it is kept as long as its time can be told from later ones.
    /// </summary>
    internal void Forget(long block, uint allBefore)
    {
        _sharedRaces.Clear(_sharedBytes);
        _launch.Forget(block, allBefore);
    }

    /// <summary>An asynchronous copy was begun, which may overwrite the bytes at any time until it is waited for.</summary>
    internal void Undefine(long offset, int bytes) => _sharedDefined.Fill(offset, bytes, false);

    /// <summary>A warp uses local memory, each lane its own. The addresses count from the beginning of the lane's.</summary>
    public void Local(in WarpAccess access)
    {
        for (uint left = access.Mask; left != 0; left &= left - 1)
        {
            int lane = BitOperations.TrailingZeroCount(left);
            long start = (access.FirstThread + lane) * _localStride, offset = start + (long)access.Addresses[lane];
            if (access.Kind == AccessKind.Write)
                _localDefined.Set(offset, access.Bytes);
            else if (!_localDefined.AllSet(offset, access.Bytes))
            {
                ulong address = (ulong)(_localDefined.FindClear(offset, access.Bytes) - start);
                _launch.Fail(in access, new AccessProblem { Lane = lane }, StateSpace.Local, address, $"byte {address} of the thread's {_kernel.LocalBytes} bytes of local memory");
            }
        }
    }

    /// <summary>The run time wrote into a thread's local memory.</summary>
    internal void DefineLocal(int thread, long offset, int bytes) => _localDefined.Fill(thread * _localStride + offset, bytes, true);

    /// <summary>Which shared variable an address is in.</summary>
    public static string DescribeShared(DecodedKernel kernel, ulong address)
    {
        SharedVariable? found = null;
        foreach (var variable in kernel.SharedVariables)
        {
            if ((ulong)variable.Offset <= address && (found is null || variable.Offset >= found.Offset))
                found = variable;
        }
        if (found is null)
            return $"byte {address} of shared memory";
        ulong offset = address - (ulong)found.Offset;
        string name = SourceNames.Of(found.Name);
        return found.Bytes == 0 ? $"byte {offset} of the dynamic __shared__ {name}"
            : offset < (ulong)found.Bytes ? $"byte {offset} of __shared__ {name}, {found.Bytes} bytes"
            : $"{offset - (ulong)found.Bytes} bytes behind the end of __shared__ {name}, {found.Bytes} bytes";
    }

    public void Dispose()
    {
        _sharedDefined.Dispose();
        _sharedRaces.Dispose();
        _localDefined.Dispose();
    }
}
