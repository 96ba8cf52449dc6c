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
/// <remarks>It is a handle, and what it refers to is used again: a scope itself allocates nothing either.</remarks>
public readonly struct MemoryScope : IDisposable
{
    [ThreadStatic]
    private static Frame? s_current;

    // Ended frames, linked by Outer.
    [ThreadStatic]
    private static Frame? s_spare;

    private readonly Frame? _frame;
    private readonly int _use;

    public MemoryScope()
    {
        var frame = s_spare ?? new Frame();
        s_spare = frame.Outer;
        frame.Outer = s_current;
        (_frame, _use) = (frame, frame.Use);
        s_current = frame;
    }

    /// <summary>The innermost scope of this thread.</summary>
    internal static Frame? Current => s_current;

    private bool HasEnded => _frame is null || _frame.Use != _use;

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
        if (HasEnded)
            return false;
        var owner = storage.Owner;
        while (owner is not null && owner != _frame)
            owner = owner.Outer;
        if (owner is null)
            return false;
        storage.Owner = null;
        owner.Outer?.Adopt(storage);
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

    public void Dispose()
    {
        if (HasEnded)
            return;
        var frame = _frame!;
        if (s_current != frame)
            throw new InvalidOperationException("A MemoryScope was disposed out of order, or on another thread than made it.");
        s_current = frame.Outer;
        frame.End();
        (frame.Outer, s_spare) = (s_spare, frame);
    }

    /// <summary>What belongs to a scope. The number of its use tells a scope from an ended one that had the same frame.</summary>
    internal sealed class Frame
    {
        private readonly List<Storage> _storages = [];

        /// <summary>The frame of the scope around this one.</summary>
        public Frame? Outer { get; set; }

        /// <summary>Counts the scopes that have ended.</summary>
        public int Use { get; private set; }

        public void Adopt(Storage storage)
        {
            storage.Owner = this;
            _storages.Add(storage);
        }

        public void End()
        {
            Use++;
            foreach (var storage in _storages)
            {
                // A storage that was kept, or released early and taken again elsewhere, is no longer ours.
                if (storage.Owner == this)
                    ReleaseEarly(storage);
            }
            _storages.Clear();
        }
    }
}
