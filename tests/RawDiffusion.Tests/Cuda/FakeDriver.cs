using System.Runtime.InteropServices;
using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>
/// A driver for tests of what stands above it: it writes down its calls, keeps the bytes of device memory in arrays, has as much memory
/// as it is told, fails when it is told, and refuses what a capture forbids. It runs no kernel.
/// </summary>
internal sealed unsafe class FakeDriver : CudaDriver
{
    private readonly Dictionary<string, (CudaResult Result, int Times)> _failures = [];
    private readonly SortedDictionary<ulong, byte[]> _memory = [];
    private readonly HashSet<nint> _host = [];
    private readonly Dictionary<CuGraph, List<string>> _graphs = [];
    private readonly Dictionary<CuGraphExec, List<string>> _execs = [];
    private List<string>? _captured;
    private bool _invalid;
    private CudaResult _sticky;
    private ulong _nextAddress = 0x10000;
    private nint _nextHandle = 1;

    /// <summary>What was called, in order, while <see cref="Logging"/> is on.</summary>
    public List<string> Calls { get; } = [];

    public bool Logging { get; set; } = true;

    /// <summary>Bytes of device memory.</summary>
    public long Capacity { get; set; } = 1L << 40;

    public long Used => _memory.Values.Sum(bytes => (long)bytes.Length);

    public int HostAllocations => _host.Count;

    public int LiveGraphs => _graphs.Count + _execs.Count;

    /// <summary>The managed threads that asked for anything.</summary>
    public HashSet<int> Threads { get; } = [];

    /// <summary>The named call fails from now on: so many times, and for good when the error is sticky.</summary>
    public void Fail(string call, CudaResult result, int times = 1) => _failures[call] = (result, times);

    /// <summary>What device memory holds.</summary>
    public ReadOnlySpan<byte> Bytes(DevicePointer pointer, long bytes)
    {
        var (start, array) = _memory.Last(entry => entry.Key <= pointer.Address);
        return array.AsSpan((int)(pointer.Address - start), (int)bytes);
    }

    private nint Handle => _nextHandle++;

    private void Call(string name, string arguments = "", bool recorded = false, bool waits = false)
    {
        if (Logging)
            Log(name, arguments, recorded);
        if (_sticky != CudaResult.Success)
            throw new CudaException(name, _sticky);
        if (_failures.TryGetValue(name, out var failure))
        {
            if (failure.Times == 1)
                _failures.Remove(name);
            else
                _failures[name] = (failure.Result, failure.Times - 1);
            if (failure.Result.IsSticky())
                _sticky = failure.Result;
            throw new CudaException(name, failure.Result);
        }
        if (waits && _captured is not null)
        {
            _invalid = true;
            throw new CudaException(name, CudaResult.StreamCaptureUnsupported);
        }
    }

    private void Log(string name, string arguments, bool recorded)
    {
        Threads.Add(Environment.CurrentManagedThreadId);
        string call = arguments.Length == 0 ? name : $"{name} {arguments}";
        (recorded && _captured is not null ? _captured : Calls).Add(call);
    }

    public override string Name => "fake";

    public override int Version => 12040;

    public override int DeviceCount => 1;

    public override string GetDeviceName(int device) => "Fake GPU";

    public override long GetTotalMemory(int device) => Capacity;

    public override int GetAttribute(DeviceAttribute attribute, int device) => attribute switch
    {
        DeviceAttribute.MultiprocessorCount => 4,
        DeviceAttribute.MaxSharedMemoryPerBlockOptin => 100 * 1024,
        _ => 0,
    };

    public override KernelTarget GetTarget(int device) => new("sm_80");

    public override CuContext RetainPrimaryContext(int device)
    {
        Call("RetainPrimaryContext");
        return new CuContext(Handle);
    }

    public override void ReleasePrimaryContext(int device) => Call("ReleasePrimaryContext");

    public override void SetCurrent(CuContext context) => Call("SetCurrent");

    public override void SynchronizeContext() => Call("SynchronizeContext", waits: true);

    public override CuModule LoadModule(ReadOnlySpan<byte> image, string name)
    {
        Call("LoadModule", name, waits: true);
        return new CuModule(Handle);
    }

    public override void UnloadModule(CuModule module) => Call("UnloadModule", waits: true);

    public override CuFunction GetFunction(CuModule module, string name)
    {
        Call("GetFunction", name);
        return new CuFunction(Handle);
    }

    public override (DevicePointer Address, long Bytes) GetGlobal(CuModule module, string name)
    {
        Call("GetGlobal", name);
        return (new DevicePointer(0x500), 4);
    }

    public override int GetFunctionAttribute(CuFunction function, FunctionAttribute attribute) =>
        attribute == FunctionAttribute.SharedSizeBytes ? 1024 : 32;

    public override void SetFunctionAttribute(CuFunction function, FunctionAttribute attribute, int value) =>
        Call("SetFunctionAttribute", $"{attribute} {value}");

    public override int GetMaxActiveBlocks(CuFunction function, int threadsPerBlock, int sharedBytes) => 2048 / threadsPerBlock;

    public override void Launch(CuFunction function, Dim3 grid, Dim3 block, int sharedBytes, CuStream stream, params ReadOnlySpan<KernelArg> args)
    {
        if (!Logging)
            return;
        var text = new System.Text.StringBuilder($"{grid} {block} {sharedBytes}:");
        foreach (var arg in args)
            text.Append(' ').Append(Convert.ToHexStringLower(arg.Bytes));
        Call("Launch", text.ToString(), recorded: true);
    }

    public override CuStream CreateStream()
    {
        Call("CreateStream");
        return new CuStream(Handle);
    }

    public override void DestroyStream(CuStream stream) => Call("DestroyStream");

    public override void SynchronizeStream(CuStream stream) => Call("SynchronizeStream", waits: true);

    /// <summary>Not logged: the question whether a context is lost would be everywhere.</summary>
    public override bool QueryStream(CuStream stream)
    {
        bool logging = Logging;
        Logging = false;
        try
        {
            Call("QueryStream", waits: true);
            return true;
        }
        finally
        {
            Logging = logging;
        }
    }

    public override CuEvent CreateEvent(bool timing)
    {
        Call("CreateEvent");
        return new CuEvent(Handle);
    }

    public override void DestroyEvent(CuEvent value) => Call("DestroyEvent");

    public override void RecordEvent(CuEvent value, CuStream stream) => Call("RecordEvent", recorded: true);

    public override void WaitEvent(CuStream stream, CuEvent value) => Call("WaitEvent", recorded: true);

    public override void SynchronizeEvent(CuEvent value) => Call("SynchronizeEvent", waits: true);

    public override bool QueryEvent(CuEvent value)
    {
        Call("QueryEvent", waits: true);
        return true;
    }

    public override float ElapsedMilliseconds(CuEvent start, CuEvent end) => 1.5f;

    public override DevicePointer Allocate(long bytes)
    {
        Call("Allocate", $"{bytes}", waits: true);
        if (Used + bytes > Capacity)
            throw new CudaException("cuMemAlloc", CudaResult.OutOfMemory);
        var pointer = new DevicePointer(_nextAddress);
        _memory[_nextAddress] = new byte[bytes];
        _nextAddress += (ulong)(bytes + 0xffff) & ~0xfffful;
        return pointer;
    }

    public override void Free(DevicePointer pointer)
    {
        Call("Free", $"{pointer}", waits: true);
        if (!_memory.Remove(pointer.Address))
            throw new CudaException("cuMemFree", CudaResult.InvalidValue);
    }

    public override void AnnotateMemory(DevicePointer start, long bytes, MemoryUse use, string? owner, CuStream stream)
    {
        if (Logging || _sticky != CudaResult.Success)
            Call("Annotate", $"{use} {start} {bytes} {owner}".TrimEnd(), recorded: true);
    }

    public override (long Free, long Total) GetMemoryInfo() => (Capacity - Used, Capacity);

    public override nint AllocateHost(long bytes)
    {
        Call("AllocateHost", $"{bytes}", waits: true);
        nint pointer = (nint)NativeMemory.AllocZeroed((nuint)bytes);
        _host.Add(pointer);
        return pointer;
    }

    public override void FreeHost(nint pointer)
    {
        Call("FreeHost", waits: true);
        Assert.True(_host.Remove(pointer));
        NativeMemory.Free((void*)pointer);
    }

    public override void CopyToDevice(DevicePointer destination, ReadOnlySpan<byte> source, CuStream stream)
    {
        Call("CopyToDevice", $"{destination} {source.Length}", waits: true);
        source.CopyTo(Writable(destination, source.Length));
    }

    public override void CopyToHost(Span<byte> destination, DevicePointer source, CuStream stream)
    {
        Call("CopyToHost", $"{source} {destination.Length}", waits: true);
        Bytes(source, destination.Length).CopyTo(destination);
    }

    public override void CopyToDeviceAsync(DevicePointer destination, nint source, long bytes, CuStream stream)
    {
        Call("CopyToDeviceAsync", $"{destination} {bytes}", recorded: true);
        new ReadOnlySpan<byte>((void*)source, (int)bytes).CopyTo(Writable(destination, bytes));
    }

    public override void CopyToHostAsync(nint destination, DevicePointer source, long bytes, CuStream stream)
    {
        Call("CopyToHostAsync", $"{source} {bytes}", recorded: true);
        Bytes(source, bytes).CopyTo(new Span<byte>((void*)destination, (int)bytes));
    }

    public override void CopyDeviceAsync(DevicePointer destination, DevicePointer source, long bytes, CuStream stream)
    {
        Call("CopyDeviceAsync", $"{destination} {source} {bytes}", recorded: true);
        Bytes(source, bytes).CopyTo(Writable(destination, bytes));
    }

    public override void Fill8Async(DevicePointer destination, byte value, long count, CuStream stream)
    {
        Call("Fill8Async", $"{destination} {value} {count}", recorded: true);
        Writable(destination, count).Fill(value);
    }

    public override void Fill16Async(DevicePointer destination, ushort value, long count, CuStream stream)
    {
        Call("Fill16Async", $"{destination} {value} {count}", recorded: true);
        MemoryMarshal.Cast<byte, ushort>(Writable(destination, 2 * count)).Fill(value);
    }

    public override void Fill32Async(DevicePointer destination, uint value, long count, CuStream stream)
    {
        Call("Fill32Async", $"{destination} {value} {count}", recorded: true);
        MemoryMarshal.Cast<byte, uint>(Writable(destination, 4 * count)).Fill(value);
    }

    public override void BeginCapture(CuStream stream)
    {
        Call("BeginCapture");
        (_captured, _invalid) = ([], false);
    }

    public override CuGraph EndCapture(CuStream stream)
    {
        var captured = _captured!;
        _captured = null;
        Call("EndCapture");
        if (_invalid)
            throw new CudaException("cuStreamEndCapture", CudaResult.StreamCaptureInvalidated);
        var graph = new CuGraph(Handle);
        _graphs[graph] = captured;
        return graph;
    }

    public override bool IsCapturing(CuStream stream) => _captured is not null;

    public override int GetNodeCount(CuGraph graph) => _graphs[graph].Count(call => !call.StartsWith("Annotate", StringComparison.Ordinal));

    public override CuGraphExec Instantiate(CuGraph graph)
    {
        Call("Instantiate");
        var exec = new CuGraphExec(Handle);
        _execs[exec] = _graphs[graph];
        return exec;
    }

    public override void LaunchGraph(CuGraphExec exec, CuStream stream)
    {
        Call("LaunchGraph");
        Calls.AddRange(_execs[exec]);
    }

    /// <summary>As the real one: graphs of the same calls in the same order can take each other's arguments.</summary>
    public override bool Update(CuGraphExec exec, CuGraph graph)
    {
        Call("Update");
        if (!_execs[exec].Select(call => call.Split(' ')[0]).SequenceEqual(_graphs[graph].Select(call => call.Split(' ')[0])))
            return false;
        _execs[exec] = _graphs[graph];
        return true;
    }

    public override void DestroyGraph(CuGraph graph)
    {
        Call("DestroyGraph");
        Assert.True(_graphs.Remove(graph));
    }

    public override void DestroyGraphExec(CuGraphExec exec)
    {
        Call("DestroyGraphExec");
        Assert.True(_execs.Remove(exec));
    }

    private Span<byte> Writable(DevicePointer pointer, long bytes)
    {
        var (start, array) = _memory.Last(entry => entry.Key <= pointer.Address);
        return array.AsSpan((int)(pointer.Address - start), (int)bytes);
    }
}
