namespace RawDiffusion.Cuda;

/// <summary>
/// A queue of work. Work of one stream runs in order; streams run independently of each other unless one waits for an event of another.
/// Memory of the pool belongs to the order of <see cref="CudaContext.Stream"/>: who uses a buffer on another stream lets the main
/// stream wait for it before the buffer is disposed of.
/// </summary>
public sealed class CudaStream : IDisposable
{
    internal CudaStream(CudaContext context)
    {
        Context = context;
        context.Bind();
        Handle = context.Driver.CreateStream();
    }

    public CudaContext Context { get; }

    public CuStream Handle { get; private set; }

    /// <summary>Whether all work is done; does not wait.</summary>
    public bool IsDone
    {
        get
        {
            Context.Bind();
            return Context.Driver.QueryStream(Handle);
        }
    }

    /// <summary>Waits for all work given so far, and throws what went wrong in it.</summary>
    public void Synchronize()
    {
        Context.Bind();
        Context.Driver.SynchronizeStream(Handle);
    }

    /// <summary>Work given from here on waits for the event; the caller does not.</summary>
    public void WaitFor(CudaEvent value)
    {
        Context.Bind();
        Context.Driver.WaitEvent(Handle, value.Handle);
    }

    public void Dispose()
    {
        if (Handle != default && Context.BindToRelease())
            Context.Driver.DestroyStream(Handle);
        Handle = default;
    }
}
