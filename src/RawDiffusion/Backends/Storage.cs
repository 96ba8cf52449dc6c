namespace RawDiffusion.Backends;

/// <summary>
/// A run of elements in a backend's memory. Storages are pooled: when a <see cref="MemoryScope"/> ends, its storages go back
/// to their backend with a new <see cref="Generation"/>, and a tensor that still points at one notices and throws.
/// </summary>
public abstract class Storage(Backend backend)
{
    /// <summary>Whose memory this is: the backend that operations on it are asked of.</summary>
    public Backend Backend { get; internal set; } = backend;

    public DType DType { get; protected set; }

    /// <summary>Number of elements.</summary>
    public int Length { get; protected set; }

    /// <summary>Counts how often the memory has been handed back.</summary>
    public int Generation { get; internal set; }

    /// <summary>Counts in-place writes; autograd uses it to refuse a backward pass over values that have changed.</summary>
    public int Version { get; internal set; }

    /// <summary>The scope that will hand this storage back, or null if it lives until it is garbage.</summary>
    internal MemoryScope.Frame? Owner { get; set; }

    /// <summary>Number of gradients of running backward passes that use this storage.</summary>
    internal int Holds { get; set; }

    /// <summary>Whether a running backward pass made this storage for itself, to hand it back once nothing holds it.</summary>
    internal bool IsTransient { get; set; }

    /// <summary>A window on the same memory; the window keeps the memory alive. Used for the flat parameter arenas.</summary>
    public abstract Storage Slice(int offset, int length);
}
