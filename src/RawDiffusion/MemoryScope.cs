using System.Diagnostics.CodeAnalysis;
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

    [ThreadStatic]
    private static MemoryScope? s_spare;

    private MemoryScope? _outer;
    private List<Storage> _storages;
    private bool _disposed;

    public MemoryScope() => Begin();

    /// <summary>The innermost scope of this thread.</summary>
    internal static MemoryScope? Current => s_current;

    internal static Storage Allocate(Backend backend, DType dtype, int length)
    {
        var storage = backend.Allocate(dtype, length);
        s_current?.Adopt(storage);
        return storage;
    }

    /// <summary>Memory that lives as long as <paramref name="sibling"/>: in the same scope, or in none.</summary>
    internal static Storage AllocateBeside(Storage sibling, DType dtype, int length)
    {
        var storage = sibling.Backend.Allocate(dtype, length);
        sibling.Owner?.Adopt(storage);
        return storage;
    }

    /// <summary>Has a storage live as long as <paramref name="sibling"/>, whatever scope it is in now.</summary>
    internal static void MoveBeside(Storage sibling, Storage storage)
    {
        if (storage.Owner == sibling.Owner)
            return;
        storage.Owner = null;
        sibling.Owner?.Adopt(storage);
    }

    /// <summary>Like <see cref="Allocate"/>, but the storage belongs to no scope: parameters, gradients, optimizer state.</summary>
    internal static Storage AllocatePersistent(Backend backend, DType dtype, int length) => backend.Allocate(dtype, length);

    /// <summary>
    /// Keeps a tensor and its gradient beyond this scope and those inside it: they pass to the scope around this one, or to
    /// the garbage collector.
    /// </summary>
    /// <returns>The tensor.</returns>
    public Tensor Keep(Tensor tensor)
    {
        Keep(tensor.Storage);
        if (tensor.Grad is { IsAlive: true } gradient)
            Keep(gradient.Storage);
        return tensor;
    }

    /// <returns>False where the storage does not belong to this scope.</returns>
    internal bool Keep(Storage storage)
    {
        var owner = storage.Owner;
        while (owner is not null && owner != this)
            owner = owner._outer;
        if (owner is null)
            return false;
        storage.Owner = null;
        _outer?.Adopt(storage);
        return true;
    }

    /// <summary>Takes a tensor out of whatever scope it is in: it lives until it is garbage. For what is made once and used again.</summary>
    /// <returns>The tensor.</returns>
    public static Tensor KeepForever(Tensor tensor)
    {
        KeepForever(tensor.Storage);
        return tensor;
    }

    /// <summary>Takes a storage out of whatever scope it is in: it lives until it is garbage.</summary>
    internal static void KeepForever(Storage storage) => storage.Owner = null;

    /// <summary>Hands one storage back before its scope ends. Only for values that nothing else can reach.</summary>
    internal static void ReleaseEarly(Storage storage)
    {
        storage.Owner = null;
        storage.IsTransient = false;
        storage.Backend.Release(storage);
    }

    /// <summary>Begins a scope in a recycled object: a backward pass needs one for every node. Ended by <see cref="Leave"/>.</summary>
    internal static MemoryScope Enter()
    {
        if (s_spare is not { } scope)
            return new MemoryScope();
        s_spare = null;
        scope.Begin();
        return scope;
    }

    internal void Leave()
    {
        Dispose();
        s_spare = this;
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
            ReleaseEarly(storage);
        }
        _storages.Clear();
        s_lists!.Push(_storages);
    }

    [MemberNotNull(nameof(_storages))]
    private void Begin()
    {
        _disposed = false;
        _outer = s_current;
        _storages = (s_lists ??= new()).TryPop(out var list) ? list : [];
        s_current = this;
    }

    private void Adopt(Storage storage)
    {
        storage.Owner = this;
        _storages.Add(storage);
    }
}
