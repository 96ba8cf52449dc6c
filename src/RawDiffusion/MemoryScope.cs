using RawDiffusion.Backends;

namespace RawDiffusion;

/// <summary>
/// Hands every tensor made between its construction and its disposal back to the memory pool at once, except those that were
/// kept. Put one around each training or sampling step: a warm step then allocates nothing. Scopes nest; one belongs to the
/// thread that made it. Tensors made outside any scope are left to the garbage collector.
/// </summary>
/// <example><code>
/// using (var scope = new MemoryScope())
/// {
///     var loss = model.Forward(x).Mean();
///     loss.Backward();
///     optimizer.Step();
/// }
/// </code></example>
public sealed class MemoryScope : IDisposable
{
    [ThreadStatic]
    private static MemoryScope? s_current;

    [ThreadStatic]
    private static Stack<List<Storage>>? s_lists;

    private readonly MemoryScope? _outer;
    private readonly List<Storage> _storages;
    private bool _disposed;

    public MemoryScope()
    {
        _outer = s_current;
        _storages = (s_lists ??= new()).TryPop(out var list) ? list : [];
        s_current = this;
    }

    /// <summary>The innermost scope of this thread.</summary>
    internal static MemoryScope? Current => s_current;

    internal static Storage Allocate(Backend backend, DType dtype, int length)
    {
        var storage = backend.Allocate(dtype, length);
        s_current?.Adopt(storage);
        return storage;
    }

    /// <summary>Like <see cref="Allocate"/>, but the storage belongs to no scope: parameters, gradients, optimizer state.</summary>
    internal static Storage AllocatePersistent(Backend backend, DType dtype, int length) => backend.Allocate(dtype, length);

    /// <summary>Keeps a tensor beyond this scope: it passes to the scope around this one, or to the garbage collector.</summary>
    /// <returns>The tensor.</returns>
    public Tensor Keep(Tensor tensor)
    {
        Keep(tensor.Storage);
        return tensor;
    }

    internal void Keep(Storage storage)
    {
        if (storage.Owner != this)
            return;
        storage.Owner = null;
        _outer?.Adopt(storage);
    }

    /// <summary>Hands one storage back before its scope ends. Only for values that nothing else can reach.</summary>
    internal static void ReleaseEarly(Storage storage)
    {
        if (storage.Owner is null)
            return;
        storage.Owner = null;
        storage.Backend.Release(storage);
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        if (s_current != this)
            throw new InvalidOperationException("A MemoryScope was disposed out of order, or on another thread than made it.");
        _disposed = true;
        s_current = _outer;
        foreach (var storage in _storages)
        {
            // A storage that was kept, or released early and taken again elsewhere, is no longer ours.
            if (storage.Owner != this)
                continue;
            storage.Owner = null;
            storage.Backend.Release(storage);
        }
        _storages.Clear();
        s_lists!.Push(_storages);
    }

    private void Adopt(Storage storage)
    {
        storage.Owner = this;
        _storages.Add(storage);
    }
}
