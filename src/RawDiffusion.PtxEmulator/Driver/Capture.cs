using RawDiffusion.Cuda;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>Work with the nodes that it waits for, which come before it.</summary>
internal sealed record GraphNode(Work Work, int[] Dependencies);

/// <summary>A recorded graph. Its nodes stand in the order in which they were given, which keeps all dependencies.</summary>
internal sealed class EmulatedGraph(IReadOnlyList<GraphNode> nodes)
{
    public IReadOnlyList<GraphNode> Nodes => nodes;

    public int Count => nodes.Count(node => node.Work.IsNode);

    public Work[] Work => [.. nodes.Select(node => node.Work)];

    /// <summary>Whether another has the same nodes, but for their arguments, with the same dependencies.</summary>
    public bool IsLike(EmulatedGraph other)
    {
        var (mine, theirs) = (Shape(), other.Shape());
        return mine.Count == theirs.Count
            && mine.Zip(theirs).All(pair => pair.First.Work.IsLike(pair.Second.Work) && pair.First.Dependencies.SequenceEqual(pair.Second.Dependencies));
    }

    /// <summary>The nodes alone: what pools told about memory is left out, and its dependencies are passed on.</summary>
    private List<GraphNode> Shape()
    {
        var kept = new List<GraphNode>();
        int[][] stand = new int[nodes.Count][];
        for (int i = 0; i < nodes.Count; i++)
        {
            int[] dependencies = [.. nodes[i].Dependencies.SelectMany(dependency => stand[dependency]).Distinct().Order()];
            stand[i] = nodes[i].Work.IsNode ? [kept.Count] : dependencies;
            if (nodes[i].Work.IsNode)
                kept.Add(new GraphNode(nodes[i].Work, dependencies));
        }
        return kept;
    }
}

/// <summary>A graph that can be launched.</summary>
internal sealed class EmulatedGraphExec(EmulatedGraph graph)
{
    public EmulatedGraph Graph { get; set; } = graph;
}

/// <summary>A recording under way, of a stream and of those that joined it.</summary>
internal sealed class Capture(EmulatedStream origin)
{
    private readonly List<GraphNode> _nodes = [];
    private readonly List<EmulatedStream> _streams = [origin];

    public EmulatedStream Origin => origin;

    /// <summary>The thread that began it.</summary>
    public int Thread { get; } = Environment.CurrentManagedThreadId;

    public bool Invalid { get; private set; }

    public bool Ended { get; private set; }

    public void Add(Work work, EmulatedStream stream)
    {
        _nodes.Add(new GraphNode(work, [.. stream.Tail]));
        stream.Tail = [_nodes.Count - 1];
    }

    public void Join(EmulatedStream stream)
    {
        stream.Capture = this;
        stream.Tail = [];
        _streams.Add(stream);
    }

    public void Invalidate() => Invalid = true;

    /// <summary>Ends it, for all streams.</summary>
    /// <returns>The graph, and whether all streams were joined back.</returns>
    public (EmulatedGraph Graph, bool Joined) End()
    {
        Ended = true;
        bool[] reached = new bool[_nodes.Count];
        foreach (int node in origin.Tail)
            reached[node] = true;
        for (int node = _nodes.Count - 1; node >= 0; node--)
        {
            if (reached[node])
            {
                foreach (int dependency in _nodes[node].Dependencies)
                    reached[dependency] = true;
            }
        }
        bool joined = _streams.All(stream => stream.Tail.All(node => reached[node]));
        foreach (var stream in _streams)
            (stream.Capture, stream.Tail) = (null, []);
        return (new EmulatedGraph(_nodes), joined);
    }
}
