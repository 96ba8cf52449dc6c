namespace RawDiffusion.Cuda;

/// <summary>
/// Just the functions of the CUDA driver that are used here, in C# types. There are two: <see cref="NativeCudaDriver"/> calls libcuda,
/// the emulator executes PTX on the CPU. Nothing above the driver knows which one it has.
/// </summary>
/// <remarks>
/// <para><b>Errors.</b> Every method throws <see cref="CudaException"/> with the name of the CUDA function it stands for. A kernel that
/// faults is reported by its launch or, since kernels run later, by any later call that can wait for it (the synchronizing ones at the
/// latest); a caller must not rely on either. Such an error is sticky (<see cref="CudaResults.IsSticky"/>): every later call on the
/// context throws it again. Errors of arguments (a block too large, a handle that does not exist, too little memory) are not sticky
/// and have changed nothing.</para>
/// <para><b>Threads.</b> Methods may be called from any thread. Those below "Context" work on the context that was made current on the
/// calling thread by <see cref="SetCurrent"/>, and throw <see cref="CudaResult.InvalidContext"/> where none was.</para>
/// <para><b>Order.</b> Work given to one stream runs in the order in which it was given. Streams are independent (created
/// non-blocking): only <see cref="WaitEvent"/> orders one after another. There is no default stream: <c>default(CuStream)</c> is an
/// invalid handle. Methods that take a stream return before the work is done, unless they say otherwise.</para>
/// <para><b>Capture.</b> Between <see cref="BeginCapture"/> and <see cref="EndCapture"/> work given to the stream is recorded instead
/// of run. On it, and on streams that joined by waiting for an event recorded in it, these may be called: <see cref="Launch"/>,
/// <see cref="CopyToDeviceAsync"/>, <see cref="CopyToHostAsync"/>, <see cref="CopyDeviceAsync"/>, <see cref="Fill8Async"/>,
/// <see cref="Fill16Async"/>, <see cref="Fill32Async"/>, <see cref="AnnotateMemory"/>, <see cref="RecordEvent"/>, <see cref="WaitEvent"/>,
/// <see cref="IsCapturing"/>. Arguments of kernels, addresses and lengths are recorded as they are; the contents of memory are those
/// of the time of the launch, so host memory must be pinned and must live as long as the graph. Questions that wait for nothing may be
/// asked (devices, attributes of functions, which may also be set, memory information, <see cref="GetMaxActiveBlocks"/>) and functions and globals may be looked
/// up. Everything that waits or that the capture could not see is refused on the capturing thread with
/// <see cref="CudaResult.StreamCaptureUnsupported"/> and invalidates the capture, so that <see cref="EndCapture"/> throws
/// <see cref="CudaResult.StreamCaptureInvalidated"/>: synchronizing or querying the stream or any event, synchronizing the context, the
/// blocking copies, <see cref="Allocate"/>, <see cref="Free"/>, <see cref="AllocateHost"/>, <see cref="FreeHost"/>, loading or unloading a
/// module. Waiting for, querying or timing an event that was recorded in the capture throws <see cref="CudaResult.CapturedEvent"/>, and
/// invalidates it too. Other threads are not affected (thread-local capture mode) unless they synchronize or query the stream or its
/// context, and streams that are not part of the capture may be given work.
/// A stream that joined must be joined back (an event recorded there and awaited by the origin) before the end:
/// <see cref="CudaResult.StreamCaptureUnjoined"/>.</para>
/// </remarks>
public abstract class CudaDriver
{
    // Devices ---------------------------------------------------------------------------------------------------------

    /// <summary>The name of this driver's devices on a command line: <c>cuda</c> or <c>emulated</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The CUDA version that the driver supports, as 1000 * major + 10 * minor: 12040.</summary>
    public abstract int Version { get; }

    public abstract int DeviceCount { get; }

    /// <summary>The name of the product: <c>NVIDIA H100 80GB HBM3</c>.</summary>
    /// <exception cref="CudaException"><see cref="CudaResult.InvalidDevice"/>; so for every method that takes a device.</exception>
    public abstract string GetDeviceName(int device);

    /// <summary>Bytes of device memory.</summary>
    public abstract long GetTotalMemory(int device);

    public abstract int GetAttribute(DeviceAttribute attribute, int device);

    /// <summary>What modules for this device are compiled to: machine code of its architecture, or PTX.</summary>
    public abstract KernelTarget GetTarget(int device);

    // Context ---------------------------------------------------------------------------------------------------------

    /// <summary>The device's one context, made at the first call; each call must be matched by <see cref="ReleasePrimaryContext"/>.</summary>
    public abstract CuContext RetainPrimaryContext(int device);

    /// <summary>The last release destroys the context with everything in it, also a lost one.</summary>
    public abstract void ReleasePrimaryContext(int device);

    /// <summary>Makes a context the one that the calling thread's later calls work on.</summary>
    public abstract void SetCurrent(CuContext context);

    /// <summary>Waits for all work of the context, and throws what went wrong in it.</summary>
    public abstract void SynchronizeContext();

    // Modules ---------------------------------------------------------------------------------------------------------

    /// <summary>Loads a module and initialises its global variables.</summary>
    /// <param name="image">A cubin, or PTX as UTF-8 text; a zero at its end is not needed. It is not used after the call.</param>
    /// <param name="name">What the module is called in messages: the file name of its source.</param>
    /// <exception cref="CudaException"><see cref="CudaResult.InvalidPtx"/>, <see cref="CudaResult.UnsupportedPtxVersion"/>,
    /// <see cref="CudaResult.NoBinaryForGpu"/>, <see cref="CudaResult.InvalidImage"/>, with the log of the compiler in the driver.</exception>
    public abstract CuModule LoadModule(ReadOnlySpan<byte> image, string name);

    /// <summary>Waits for nothing: no kernel of the module may be running or queued.</summary>
    public abstract void UnloadModule(CuModule module);

    /// <exception cref="CudaException"><see cref="CudaResult.NotFound"/>, with the name that was asked for.</exception>
    public abstract CuFunction GetFunction(CuModule module, string name);

    /// <summary>Address and size in bytes of a variable declared <c>__device__</c> or <c>__constant__</c>.</summary>
    /// <exception cref="CudaException"><see cref="CudaResult.NotFound"/>, with the name that was asked for.</exception>
    public abstract (DevicePointer Address, long Bytes) GetGlobal(CuModule module, string name);

    public abstract int GetFunctionAttribute(CuFunction function, FunctionAttribute attribute);

    /// <exception cref="CudaException"><see cref="CudaResult.InvalidValue"/>: the attribute cannot be set or the device does not have that much.</exception>
    public abstract void SetFunctionAttribute(CuFunction function, FunctionAttribute attribute, int value);

    /// <summary>How many blocks of this size can run on one multiprocessor at a time; 0 where one does not fit.</summary>
    public abstract int GetMaxActiveBlocks(CuFunction function, int threadsPerBlock, int sharedBytes);

    /// <summary>
    /// Queues a kernel. The arguments are read before the method returns; their number and sizes must be those of the kernel's
    /// parameters (a driver that knows them throws <see cref="CudaResult.InvalidValue"/> naming the argument; libcuda does not know).
    /// Neither boxes nor allocates.
    /// </summary>
    /// <param name="sharedBytes">Dynamic shared memory per block.</param>
    /// <exception cref="CudaException"><see cref="CudaResult.InvalidValue"/>: an empty or too large grid or block, or more shared memory than
    /// <see cref="FunctionAttribute.MaxDynamicSharedSizeBytes"/>; <see cref="CudaResult.LaunchOutOfResources"/>: more registers than a block has.</exception>
    public abstract void Launch(CuFunction function, Dim3 grid, Dim3 block, int sharedBytes, CuStream stream, params ReadOnlySpan<KernelArg> args);

    // Streams and events ----------------------------------------------------------------------------------------------

    public abstract CuStream CreateStream();

    /// <summary>Work that was queued still runs; the call does not wait for it.</summary>
    public abstract void DestroyStream(CuStream stream);

    /// <summary>Waits for the work of the stream, and throws what went wrong in it.</summary>
    public abstract void SynchronizeStream(CuStream stream);

    /// <summary>Whether all work of the stream is done. Does not wait; throws what went wrong.</summary>
    public abstract bool QueryStream(CuStream stream);

    /// <param name="timing">Whether <see cref="ElapsedMilliseconds"/> will be asked of it; without, recording is cheaper.</param>
    public abstract CuEvent CreateEvent(bool timing);

    public abstract void DestroyEvent(CuEvent value);

    /// <summary>The event will be done when all work given to the stream so far is. Recording anew forgets the earlier record.</summary>
    public abstract void RecordEvent(CuEvent value, CuStream stream);

    /// <summary>Work given to the stream from here on waits for the event's last record; an event never recorded is not waited for. The host does not wait.</summary>
    public abstract void WaitEvent(CuStream stream, CuEvent value);

    /// <summary>The host waits for the event's last record; returns at once where there is none.</summary>
    public abstract void SynchronizeEvent(CuEvent value);

    /// <summary>Whether the event's last record is done (true where there is none). Does not wait.</summary>
    public abstract bool QueryEvent(CuEvent value);

    /// <summary>The time between two records in milliseconds, with a resolution of about half a microsecond.</summary>
    /// <exception cref="CudaException"><see cref="CudaResult.NotReady"/>: not done yet; <see cref="CudaResult.InvalidHandle"/>: not recorded or made without timing.</exception>
    public abstract float ElapsedMilliseconds(CuEvent start, CuEvent end);

    // Memory ----------------------------------------------------------------------------------------------------------

    /// <summary>Device memory with undefined contents, aligned to 256 bytes at least. May wait for the device.</summary>
    /// <param name="bytes">More than 0.</param>
    /// <exception cref="CudaException"><see cref="CudaResult.OutOfMemory"/>; not sticky.</exception>
    public abstract DevicePointer Allocate(long bytes);

    /// <summary>Gives memory back; waits for all work of the context first. <see cref="DevicePointer.Null"/> is allowed and does nothing.</summary>
    /// <exception cref="CudaException"><see cref="CudaResult.InvalidValue"/>: not the start of an allocation.</exception>
    public abstract void Free(DevicePointer pointer);

    /// <summary>
    /// Tells what a caching pool does inside its allocations, in the order of the stream, like a copy of no bytes. libcuda is not told;
    /// the emulator finds by it what would be a use after free or a read of undefined memory if every block were its own allocation.
    /// </summary>
    /// <param name="owner">What the memory is for, for reports; null: not known.</param>
    public abstract void AnnotateMemory(DevicePointer start, long bytes, MemoryUse use, string? owner, CuStream stream);

    /// <summary>Free and total bytes of the device as the driver sees them, other processes included.</summary>
    public abstract (long Free, long Total) GetMemoryInfo();

    /// <summary>Pinned host memory, zero or not, aligned to 256 bytes at least: what asynchronous copies need.</summary>
    /// <exception cref="CudaException"><see cref="CudaResult.OutOfMemory"/>; not sticky.</exception>
    public abstract nint AllocateHost(long bytes);

    /// <summary>No copy may be using the memory any more.</summary>
    public abstract void FreeHost(nint pointer);

    /// <summary>
    /// Copies ordinary host memory to the device after the work given to the stream so far, and waits until it is done: the source may
    /// then be changed.
    /// </summary>
    /// <remarks>Copies and fills of nothing do nothing, whatever the addresses.</remarks>
    /// <exception cref="CudaException"><see cref="CudaResult.InvalidValue"/>: outside an allocation, where the driver notices; so for every copy and fill.</exception>
    public abstract void CopyToDevice(DevicePointer destination, ReadOnlySpan<byte> source, CuStream stream);

    /// <summary>Copies from the device to ordinary host memory after the work given to the stream so far, and waits until it is there.</summary>
    public abstract void CopyToHost(Span<byte> destination, DevicePointer source, CuStream stream);

    /// <summary>Queues a copy from pinned host memory, which must not change until the copy is done.</summary>
    public abstract void CopyToDeviceAsync(DevicePointer destination, nint source, long bytes, CuStream stream);

    /// <summary>Queues a copy to pinned host memory, which holds the result when the stream has come that far.</summary>
    public abstract void CopyToHostAsync(nint destination, DevicePointer source, long bytes, CuStream stream);

    /// <summary>Queues a copy within the device. The two must not overlap.</summary>
    public abstract void CopyDeviceAsync(DevicePointer destination, DevicePointer source, long bytes, CuStream stream);

    /// <summary>Queues setting <paramref name="count"/> bytes.</summary>
    public abstract void Fill8Async(DevicePointer destination, byte value, long count, CuStream stream);

    /// <summary>Queues setting <paramref name="count"/> 16-bit words; the address must be a multiple of 2.</summary>
    public abstract void Fill16Async(DevicePointer destination, ushort value, long count, CuStream stream);

    /// <summary>Queues setting <paramref name="count"/> 32-bit words; the address must be a multiple of 4.</summary>
    public abstract void Fill32Async(DevicePointer destination, uint value, long count, CuStream stream);

    // Graphs ----------------------------------------------------------------------------------------------------------

    /// <summary>Begins recording what this thread gives to the stream; see the remarks on capture.</summary>
    /// <exception cref="CudaException"><see cref="CudaResult.IllegalState"/>: it captures already.</exception>
    public abstract void BeginCapture(CuStream stream);

    /// <summary>Ends recording. When it throws, the stream captures no longer and there is no graph.</summary>
    /// <exception cref="CudaException"><see cref="CudaResult.IllegalState"/>: it does not capture;
    /// <see cref="CudaResult.StreamCaptureInvalidated"/>, <see cref="CudaResult.StreamCaptureUnjoined"/>,
    /// <see cref="CudaResult.StreamCaptureWrongThread"/>.</exception>
    public abstract CuGraph EndCapture(CuStream stream);

    /// <summary>Whether work given to the stream is recorded, also in a capture that is already invalid.</summary>
    public abstract bool IsCapturing(CuStream stream);

    /// <summary>How many nodes the graph has: kernels, copies, fills.</summary>
    public abstract int GetNodeCount(CuGraph graph);

    /// <summary>Makes a graph that can be launched. The graph itself is not changed and not needed any more.</summary>
    public abstract CuGraphExec Instantiate(CuGraph graph);

    /// <summary>Queues all work of the graph on the stream. Launches of one instance never overlap.</summary>
    public abstract void LaunchGraph(CuGraphExec exec, CuStream stream);

    /// <summary>
    /// Gives an instance the arguments, addresses and launch dimensions of a graph with the same nodes in the same order. False where
    /// the graphs differ in more than that: the instance is then unchanged and the caller makes a new one.
    /// </summary>
    public abstract bool Update(CuGraphExec exec, CuGraph graph);

    public abstract void DestroyGraph(CuGraph graph);

    /// <summary>A launch that is still running is finished first.</summary>
    public abstract void DestroyGraphExec(CuGraphExec exec);
}
