namespace RawDiffusion.Cuda;

/// <summary>
/// Work that was recorded once and is given to the device as a whole: a training step, a sampling step. It reads and writes the memory
/// that it was recorded with, and its scalar arguments are those of the recording; what changes from launch to launch must lie in memory.
/// </summary>
/// <remarks>Memory taken from the pool while recording is reserved for the graph until it is disposed of, so that nothing else meets it.</remarks>
public sealed class CudaGraph : IDisposable
{
    private readonly CudaContext _context;
    private readonly DevicePool.GraphMemory _memory = new();

    // What the recording reads must live as long as the graph; the closure holds it.
    private Action _body;
    private CuGraphExec _exec;

    private CudaGraph(CudaContext context, Action body) => (_context, _body) = (context, body);

    /// <summary>How many kernels, copies and fills it consists of.</summary>
    public int NodeCount { get; private set; }

    /// <summary>
    /// Records what <paramref name="body"/> gives to the main stream; nothing of it runs. The body must have run once before (that fills
    /// the pool), and must not wait for the device, read from it or allocate anything new.
    /// </summary>
    /// <exception cref="CudaException">The body did what a graph cannot hold; the message says what.</exception>
    public static CudaGraph Capture(CudaContext context, Action body)
    {
        var graph = new CudaGraph(context, body);
        try
        {
            var recorded = graph.Record(body);
            try
            {
                graph._exec = context.Driver.Instantiate(recorded);
            }
            finally
            {
                context.Driver.DestroyGraph(recorded);
            }
            return graph;
        }
        catch
        {
            graph.Dispose();
            throw;
        }
    }

    /// <summary>Queues all of it on the stream (the main one when none is named).</summary>
    public void Launch(CudaStream? stream = null)
    {
        ObjectDisposedException.ThrowIf(_exec == default, this);
        _context.Bind();
        _context.Driver.LaunchGraph(_exec, (stream ?? _context.Stream).Handle);
    }

    /// <summary>
    /// Records anew, for other scalar arguments or addresses. Where the same kernels follow in the same order the graph is changed in
    /// place, which is cheap; else it is made anew.
    /// </summary>
    /// <returns>Whether it was changed in place.</returns>
    public bool Update(Action body)
    {
        ObjectDisposedException.ThrowIf(_exec == default, this);
        var recorded = Record(body);
        try
        {
            _body = body;
            if (_context.Driver.Update(_exec, recorded))
                return true;
            var fresh = _context.Driver.Instantiate(recorded);
            _context.Driver.DestroyGraphExec(_exec);
            _exec = fresh;
            return false;
        }
        finally
        {
            _context.Driver.DestroyGraph(recorded);
        }
    }

    /// <summary>Destroys the graph; its memory goes back to the pool. A launch still running finishes first.</summary>
    public void Dispose()
    {
        if (_exec != default && _context.BindToRelease())
            _context.Driver.DestroyGraphExec(_exec);
        _exec = default;
        _context.Pool.Unreserve(_memory);
        GC.KeepAlive(_body);
    }

    private CuGraph Record(Action body)
    {
        _context.Bind();
        var stream = _context.Stream.Handle;
        _context.Pool.BeginRecording(_memory);
        try
        {
            _context.Driver.BeginCapture(stream);
            try
            {
                body();
            }
            catch
            {
                Abandon(stream);
                throw;
            }
            var graph = _context.Driver.EndCapture(stream);
            NodeCount = _context.Driver.GetNodeCount(graph);
            return graph;
        }
        finally
        {
            _context.Pool.EndRecording();
        }
    }

    /// <summary>Ends a capture whose body threw: that error is the one to report.</summary>
    private void Abandon(CuStream stream)
    {
        try
        {
            _context.Driver.DestroyGraph(_context.Driver.EndCapture(stream));
        }
        catch (CudaException)
        {
            // The body's mistake has invalidated the capture.
        }
    }
}
