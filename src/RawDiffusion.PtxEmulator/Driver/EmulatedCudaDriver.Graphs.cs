using RawDiffusion.Cuda;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>Capture and graphs.</summary>
public sealed partial class EmulatedCudaDriver
{
    public override void BeginCapture(CuStream stream)
    {
        const string Call = "cuStreamBeginCapture";
        var on = Current(Call).Get<EmulatedStream>(stream.Handle, Call);
        if (on.Capture is not null)
            throw new CudaException(Call, CudaResult.IllegalState, "the stream is being captured already");
        on.Capture = new Capture(on);
        on.Tail = [];
    }

    public override CuGraph EndCapture(CuStream stream)
    {
        const string Call = "cuStreamEndCapture";
        var context = Current(Call);
        var on = context.Get<EmulatedStream>(stream.Handle, Call);
        if (on.Capture is not { } capture)
            throw new CudaException(Call, CudaResult.IllegalState, "the stream is not being captured");
        if (capture.Origin != on)
            throw Invalidating(capture, Call, CudaResult.StreamCaptureUnmatched, "the capture began on another stream");
        if (capture.Thread != Environment.CurrentManagedThreadId)
            throw new CudaException(Call, CudaResult.StreamCaptureWrongThread, "the capture began on another thread");
        var (graph, joined) = capture.End();
        if (capture.Invalid)
            throw new CudaException(Call, CudaResult.StreamCaptureInvalidated, "an earlier call, which failed, invalidated the capture");
        return joined ? new CuGraph(context.Add(graph))
            : throw new CudaException(Call, CudaResult.StreamCaptureUnjoined, "a stream that joined the capture was not joined back by an event");
    }

    public override bool IsCapturing(CuStream stream)
    {
        const string Call = "cuStreamIsCapturing";
        return Current(Call).Get<EmulatedStream>(stream.Handle, Call).Capture is not null;
    }

    public override int GetNodeCount(CuGraph graph)
    {
        const string Call = "cuGraphGetNodes";
        return Current(Call).Get<EmulatedGraph>(graph.Handle, Call).Count;
    }

    public override CuGraphExec Instantiate(CuGraph graph)
    {
        const string Call = "cuGraphInstantiate";
        var context = Current(Call);
        return new CuGraphExec(context.Add(new EmulatedGraphExec(context.Get<EmulatedGraph>(graph.Handle, Call))));
    }

    public override void LaunchGraph(CuGraphExec exec, CuStream stream)
    {
        const string Call = "cuGraphLaunch";
        var context = Current(Call);
        var graph = context.Get<EmulatedGraphExec>(exec.Handle, Call).Graph;
        var on = NotCapturing(context.Get<EmulatedStream>(stream.Handle, Call), Call);
        context.Queue.Add(new GraphWork(graph.Work), on.Work);
    }

    public override bool Update(CuGraphExec exec, CuGraph graph)
    {
        const string Call = "cuGraphExecUpdate";
        var context = Current(Call);
        var instance = context.Get<EmulatedGraphExec>(exec.Handle, Call);
        var fresh = context.Get<EmulatedGraph>(graph.Handle, Call);
        if (!instance.Graph.IsLike(fresh))
            return false;
        instance.Graph = fresh;
        return true;
    }

    public override void DestroyGraph(CuGraph graph)
    {
        const string Call = "cuGraphDestroy";
        Current(Call).Remove<EmulatedGraph>(graph.Handle, Call);
    }

    /// <remarks>What is queued keeps the work that it needs.</remarks>
    public override void DestroyGraphExec(CuGraphExec exec)
    {
        const string Call = "cuGraphExecDestroy";
        Current(Call).Remove<EmulatedGraphExec>(exec.Handle, Call);
    }

    /// <summary>The context, for a call that a capture of this thread does not allow.</summary>
    private EmulatedContext Waiting(string call)
    {
        var context = Current(call);
        foreach (var stream in context.All<EmulatedStream>())
        {
            if (stream.Capture is { } capture && capture.Thread == Environment.CurrentManagedThreadId)
                throw Invalidating(capture, call, CudaResult.StreamCaptureUnsupported, "this thread is capturing a graph, which cannot hold the call");
        }
        return context;
    }

    private static EmulatedStream NotCapturing(EmulatedStream stream, string call) => stream.Capture is not { } capture ? stream
        : throw Invalidating(capture, call, CudaResult.StreamCaptureUnsupported, "the stream is being captured");

    private static EmulatedEvent NotCaptured(EmulatedEvent value, string call) => value.Capture is not { } capture ? value
        : throw Invalidating(capture, call, CudaResult.CapturedEvent, "the event was last recorded in a capture");

    private static CudaException Invalidating(Capture? capture, string call, CudaResult result, string why)
    {
        if (capture is { Ended: false })
            capture.Invalidate();
        return new CudaException(call, result, why);
    }
}
