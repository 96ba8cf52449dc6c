using RawDiffusion.Backends;

namespace RawDiffusion;

/// <summary>
/// A contiguous, row-major array on a device. Operations return new tensors; only parameters are changed in place, by
/// optimizers. The operations themselves are in <c>Ops/</c>, one file per family.
/// </summary>
public partial class Tensor
{
    private int _generation;
    private Storage _storage;
    private Tensor? _grad;

    // Where an optimizer's arena wants the gradient.
    private Tensor? _arenaGrad;

    // The values in another type, for those who multiply with it, and the version they were made from.
    private Storage? _rounded;
    private int _roundedVersion;

    // Whether this leaf made the memory of _grad for itself, and whether nobody else has been given it.
    private bool _ownsGrad, _gradIsPrivate;

    internal Tensor(Storage storage, Shape shape)
    {
        if (storage.Length != shape.Count)
            throw new ArgumentException($"A tensor of shape {shape} needs {shape.Count} elements, not {storage.Length}.");
        _storage = storage;
        _generation = storage.Generation;
        Shape = shape;
    }

    public Shape Shape { get; }

    public int Rank => Shape.Rank;

    /// <summary>Number of elements.</summary>
    public int Count => Shape.Count;

    public DType DType => _storage.DType;

    public Backend Device => _storage.Backend;

    /// <summary>Whether gradients flow to this tensor: it is a leaf that asked for them, or was computed from one.</summary>
    public bool RequiresGrad { get; private set; }

    /// <summary>The function that made this tensor, or null for a leaf or a constant.</summary>
    internal Function? Producer { get; private set; }

    /// <summary>
    /// The accumulated gradient of a leaf, or null before the first <see cref="Backward"/> and after <see cref="ZeroGrad"/>.
    /// </summary>
    public Tensor? Grad
    {
        get
        {
            _gradIsPrivate = false;
            return _grad;
        }
    }

    /// <summary>The memory of this tensor.</summary>
    /// <exception cref="ObjectDisposedException">Its <see cref="MemoryScope"/> has ended.</exception>
    internal Storage Storage
    {
        get
        {
            if (_storage.Generation != _generation)
                ThrowDead("use of a tensor");
            return _storage;
        }
    }

    /// <summary>
    /// The values in the type of what they are to be multiplied with: the memory itself, or a rounded copy of a float32 weight, which
    /// lives as long as this tensor and is made again when the values have changed.
    /// </summary>
    /// <exception cref="ArgumentException">Another pair of types than a float32 weight with bfloat16 values.</exception>
    internal Storage StorageAs(DType type)
    {
        var storage = Storage;
        if (storage.DType == type)
            return storage;
        if (storage.DType != DType.Float32 || type != DType.BFloat16)
            throw new ArgumentException($"{Function.CurrentName}: {type.Name()} values do not go with a {storage.DType.Name()} weight {Shape}. Convert one with To.");
        if (_rounded is null)
        {
            _rounded = MemoryScope.AllocateBeside(storage, type, Count);
            _roundedVersion = storage.Version - 1;
        }
        if (_roundedVersion != storage.Version)
        {
            storage.Backend.Cast(storage, _rounded);
            _roundedVersion = storage.Version;
        }
        return _rounded;
    }

    /// <summary>Whether the memory is still this tensor's: no <see cref="MemoryScope"/> has taken it back.</summary>
    internal bool IsAlive => _storage.Generation == _generation;

    /// <summary>Asks for gradients of a leaf.</summary>
    /// <returns>This tensor.</returns>
    /// <exception cref="InvalidOperationException">The tensor holds integers, or was computed.</exception>
    public Tensor RequireGrad(bool requiresGrad = true)
    {
        if (Producer is not null)
            throw new InvalidOperationException($"Only a leaf can be told to require gradients; this tensor was made by {Producer.Name}. Use Detach() first.");
        if (requiresGrad && DType == DType.Int32)
            throw new InvalidOperationException("An Int32 tensor cannot require gradients.");
        RequiresGrad = requiresGrad;
        return this;
    }

    /// <summary>The same values without history; shares memory.</summary>
    public Tensor Detach() => new(AliveFor("detach").Storage, Shape);

    /// <summary>Computes the gradients of this scalar for every leaf it depends on and adds them to <see cref="Grad"/>.</summary>
    /// <param name="gradient">The gradient of this tensor; may be left out for a scalar, then 1.</param>
    /// <param name="retainGraph">Keep the tape for another backward pass; otherwise it is freed as it is consumed.</param>
    /// <param name="createGraph">Record the backward pass itself, so that gradients can be differentiated again.</param>
    public void Backward(Tensor? gradient = null, bool retainGraph = false, bool createGraph = false) =>
        Engine.Backward(this, gradient, retainGraph, createGraph);

    /// <summary>Forgets the gradient. Its memory serves the next one, unless somebody has read <see cref="Grad"/> and may still use it.</summary>
    public void ZeroGrad()
    {
        if (_ownsGrad && _gradIsPrivate && _arenaGrad is null && _grad is { IsAlive: true } grad)
            MemoryScope.ReleaseEarly(grad.Storage);
        _grad = null;
        _ownsGrad = false;
    }

    /// <summary>
    /// Hands the memory back to the pool now instead of at the end of a scope. Using this tensor, or any that shares its memory,
    /// throws from here on. For loops that replace a large state step by step.
    /// </summary>
    public void Release()
    {
        var storage = Storage;
        storage.Owner = null;
        storage.Backend.Release(storage);
    }

    internal void SetProducer(Function producer)
    {
        Producer = producer;
        RequiresGrad = true;
    }

    /// <summary>
    /// Says that the values have been changed in place: a backward pass over an operation that read the old ones is refused.
    /// Whoever writes to a parameter's storage must call it.
    /// </summary>
    internal void MarkChanged() => Storage.Version++;

    /// <summary>
    /// Adds to <see cref="Grad"/>, which lives as long as this leaf. A gradient recorded by createGraph lives as long as its graph.
    /// </summary>
    internal void AccumulateGrad(Tensor gradient)
    {
        if (GradMode.IsEnabled && gradient.RequiresGrad)
        {
            (_grad, _ownsGrad) = (_grad is null ? gradient : _grad + gradient, false);
            return;
        }
        if (_grad is not null && _ownsGrad)
        {
            Device.Accumulate(gradient.Storage, _grad.Storage);
            _grad.MarkChanged();
            return;
        }
        var own = _grad is null && CanTakeOver(gradient.Storage) ? TakeOver(gradient.Storage) : CopyOf(_grad ?? gradient);
        if (_grad is not null)
            Device.Accumulate(gradient.Storage, own.Storage);
        own.MarkChanged();
        (_grad, _ownsGrad, _gradIsPrivate) = (own, true, true);
    }

    /// <summary>Whether the backward pass made this memory for this leaf alone.</summary>
    private bool CanTakeOver(Storage gradient) =>
        _arenaGrad is null && gradient is { IsTransient: true, Holds: 1 } && gradient.Length == Count && gradient.DType == DType;

    private Tensor TakeOver(Storage gradient)
    {
        gradient.IsTransient = false;
        MemoryScope.MoveBeside(Storage, gradient);
        return new Tensor(gradient, Shape);
    }

    private Tensor CopyOf(Tensor gradient)
    {
        var copy = _arenaGrad ?? new Tensor(MemoryScope.AllocateBeside(Storage, DType, Count), Shape);
        Device.Copy(gradient.Storage, copy.Storage);
        return copy;
    }

    /// <summary>Moves the values (and future gradients) of a parameter into slices of flat arenas.</summary>
    internal void Rebase(Storage values, Storage gradients)
    {
        Device.Copy(Storage, values);
        _storage = values;
        _generation = values.Generation;
        _arenaGrad = new Tensor(gradients, Shape);
        _rounded = null;
        _grad = null;
        _ownsGrad = false;
    }

    /// <summary>This tensor.</summary>
    /// <exception cref="ObjectDisposedException">Its scope has ended; the message names <paramref name="operation"/>.</exception>
    internal Tensor AliveFor(string operation)
    {
        if (!IsAlive)
            ThrowDead(operation);
        return this;
    }

    private void ThrowDead(string operation) =>
        throw new ObjectDisposedException(
            nameof(Tensor),
            $"{Function.CurrentName ?? operation}: a tensor of shape {Shape} is used after its MemoryScope has ended. Keep it with MemoryScope.Keep, or read it inside the scope.");

    public override string ToString() => $"Tensor {DType} {Shape} on {Device.Name}";
}

/// <summary>A tensor that a module owns and an optimizer changes. Modules find their parameters by this type.</summary>
public sealed class Parameter : Tensor
{
    /// <summary>Takes over the memory of <paramref name="values"/>, out of any <see cref="MemoryScope"/>.</summary>
    public Parameter(Tensor values)
        : base(values.AliveFor("parameter").Storage, values.Shape)
    {
        MemoryScope.KeepForever(Storage);
        RequireGrad();
    }
}
