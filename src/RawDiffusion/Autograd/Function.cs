namespace RawDiffusion;

/// <summary>
/// One differentiable operation: the forward computation and its derivative side by side. An instance is one use of the
/// operation and a node of the tape; what the derivative needs is kept in its fields.
/// </summary>
/// <example><code>
/// sealed class Square : Function
/// {
///     protected override Tensor Forward(ReadOnlySpan&lt;Tensor&gt; x) => x[0] * x[0];
///     protected override void Backward(Tensor gy, Span&lt;Tensor?&gt; gx) => gx[0] = gy * Inputs[0] * 2;
/// }
/// var y = new Square().Apply(x);
/// </code></example>
public abstract class Function
{
    [ThreadStatic]
    private static string? s_currentName;

    private static long s_sequence;

    private Tensor[] _inputs = [];
    private int[] _versions = [];
    private ulong _needed;

    /// <summary>The operation's name in messages.</summary>
    public virtual string Name => GetType().Name;

    /// <summary>The operation whose forward or backward is running on this thread, for error messages.</summary>
    internal static string? CurrentName => s_currentName;

    /// <summary>The inputs of a recorded use.</summary>
    /// <exception cref="InvalidOperationException">The tape has been freed by an earlier backward pass.</exception>
    protected internal ReadOnlySpan<Tensor> Inputs => _inputs;

    /// <summary>False where <see cref="Backward"/> runs a fused kernel that has no derivative of its own.</summary>
    protected internal virtual bool SupportsCreateGraph => true;

    /// <summary>
    /// Indices of inputs whose values Backward reads, as a bit mask; all by default. A later in-place change of one of these is an error.
    /// </summary>
    protected virtual ulong ReadsInputs => ulong.MaxValue;

    /// <summary>Rises with every recorded use; inputs are always made before what uses them.</summary>
    internal long Sequence { get; private set; }

    /// <summary>The gradient of the output while a backward pass runs.</summary>
    internal Tensor? Pending { get; set; }

    /// <summary>Identifies the backward pass that visited this node last.</summary>
    internal int Visit { get; set; }

    internal bool IsConsumed { get; private set; }

    /// <summary>Computes the output. Not recorded itself: what happens inside is one operation.</summary>
    protected abstract Tensor Forward(ReadOnlySpan<Tensor> inputs);

    /// <summary>
    /// Computes the gradients of those inputs for which <see cref="NeedsGrad"/> says so; others may stay null.
    /// Runs recorded when <see cref="GradMode.IsEnabled"/> (createGraph): then only differentiable operations may be used.
    /// </summary>
    protected internal abstract void Backward(Tensor gradOutput, Span<Tensor?> gradInputs);

    /// <summary>Runs the operation and, if gradients are wanted, records it.</summary>
    public Tensor Apply(params ReadOnlySpan<Tensor> inputs)
    {
        bool record = false;
        if (GradMode.IsEnabled)
        {
            foreach (var input in inputs)
                record |= input.RequiresGrad;
        }
        if (record)
        {
            _inputs = inputs.ToArray();
            Sequence = Interlocked.Increment(ref s_sequence);
            RememberVersions();
        }
        bool mode = GradMode.Set(false);
        string? outer = s_currentName;
        s_currentName = Name;
        try
        {
            var output = Forward(inputs);
            if (record)
                output.SetProducer(this);
            return output;
        }
        finally
        {
            s_currentName = outer;
            GradMode.Set(mode);
        }
    }

    /// <summary>Whether input <paramref name="i"/> is to get a gradient in this backward pass.</summary>
    protected bool NeedsGrad(int i) => i >= 64 || (_needed >> i & 1) != 0;

    internal void SetNeeded(ulong needed) => _needed = needed;

    internal void RunBackward(Tensor gradOutput, Span<Tensor?> gradInputs)
    {
        CheckVersions();
        string? outer = s_currentName;
        s_currentName = Name + " backward";
        try
        {
            Backward(gradOutput, gradInputs);
        }
        finally
        {
            s_currentName = outer;
        }
    }

    /// <summary>Lets go of inputs so that memory can be reclaimed; a second backward pass over this node is an error.</summary>
    internal void Consume()
    {
        IsConsumed = true;
        _inputs = [];
    }

    private void RememberVersions()
    {
        // Only leaves are ever changed in place, so an operation on computed values has nothing to remember.
        for (int i = 0; i < _inputs.Length; i++)
        {
            int version = _inputs[i].Producer is null ? _inputs[i].Storage.Version : 0;
            if (version == 0)
                continue;
            if (_versions.Length == 0)
                _versions = new int[_inputs.Length];
            _versions[i] = version;
        }
    }

    private void CheckVersions()
    {
        for (int i = 0; i < _inputs.Length; i++)
        {
            if (_inputs[i].Producer is not null || i < 64 && (ReadsInputs >> i & 1) == 0)
                continue;
            int remembered = _versions.Length == 0 ? 0 : _versions[i];
            if (_inputs[i].Storage.Version != remembered)
                throw new InvalidOperationException(
                    $"{Name} backward: input {i} of shape {_inputs[i].Shape} was changed in place after the forward pass. Run the forward pass again.");
        }
    }
}
