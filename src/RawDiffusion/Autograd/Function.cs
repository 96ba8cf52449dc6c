using System.Runtime.CompilerServices;

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

    // Most operations have up to three inputs, which need no array of their own.
    private InlineInputs _inlineInputs;
    private Tensor[]? _inputs;
    private int _inputCount;
    private int _versions;
    private ulong _needed;

    /// <summary>The operation's name in messages.</summary>
    public virtual string Name => GetType().Name;

    /// <summary>The operation whose forward or backward is running on this thread, for error messages.</summary>
    internal static string? CurrentName => s_currentName;

    /// <summary>The inputs of a recorded use.</summary>
    /// <exception cref="InvalidOperationException">The tape has been freed by an earlier backward pass.</exception>
    protected internal ReadOnlySpan<Tensor> Inputs => _inputs ?? ((ReadOnlySpan<Tensor>)_inlineInputs!)[.._inputCount];

    /// <summary>Whether this use is a node of the tape, so that <see cref="Backward"/> may be called: for <see cref="Forward"/>, which then keeps what that needs.</summary>
    protected bool IsRecorded => _inputCount > 0;

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
    /// <exception cref="InvalidOperationException">This instance has been used before.</exception>
    public Tensor Apply(params ReadOnlySpan<Tensor> inputs)
    {
        if (_inputCount > 0 || IsConsumed)
            throw new InvalidOperationException($"{Name}: an instance is one use of the operation. Make a new one for every Apply.");
        bool record = false;
        if (GradMode.IsEnabled)
        {
            foreach (var input in inputs)
                record |= input.RequiresGrad;
        }
        if (record)
        {
            RememberInputs(inputs);
            Sequence = Interlocked.Increment(ref s_sequence);
        }
        bool mode = GradMode.Set(false);
        string? outer = s_currentName;
        s_currentName = Name;
        try
        {
            // Before Forward, whose inputs may be dead: then the message names this operation.
            if (record)
                _versions = InputVersions();
            var output = Forward(inputs);
            // What happens inside an operation is judged by what comes out of it.
            if (AnomalyMode.IsEnabled && outer is null)
                AnomalyMode.CheckForward(Name, inputs, output);
            if (!record || output.DType == DType.Int32)
                return output;
            // A result that is an input, or has a history of its own, gets another tensor on the same memory.
            if (output.RequiresGrad || Contains(inputs, output))
                output = output.Detach();
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
        string? outer = s_currentName;
        s_currentName = Name;
        try
        {
            if (InputVersions() != _versions)
                throw new InvalidOperationException(
                    $"{Name} backward: one of its inputs, of shapes {string.Join(" and ", Inputs.ToArray().Select(x => x.Shape))}, was changed in place after the forward pass. Run the forward pass again.");
            Backward(gradOutput, gradInputs);
            if (AnomalyMode.IsEnabled)
                AnomalyMode.CheckBackward(Name, Inputs, gradOutput, gradInputs);
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
        _inputs = null;
        _inputCount = 0;
        _inlineInputs = default;
    }

    private void RememberInputs(ReadOnlySpan<Tensor> inputs)
    {
        _inputCount = inputs.Length;
        if (inputs.Length <= InlineInputs.Length)
            inputs.CopyTo(_inlineInputs!);
        else
            _inputs = inputs.ToArray();
    }

    /// <summary>In-place writes so far to the inputs that Backward reads. Versions only rise, so any write changes the sum.</summary>
    private int InputVersions()
    {
        ulong reads = ReadsInputs;
        var inputs = Inputs;
        int sum = 0;
        for (int i = 0; i < inputs.Length; i++)
        {
            if (i >= 64 || (reads >> i & 1) != 0)
                sum += inputs[i].Storage.Version;
        }
        return sum;
    }

    /// <summary>Whether an operation on <paramref name="x"/> has to go through <see cref="Apply"/> now: it is recorded or watched.</summary>
    internal static bool NeedsNode(Tensor x) => x.RequiresGrad && GradMode.IsEnabled || AnomalyMode.IsEnabled;

    private static bool Contains(ReadOnlySpan<Tensor> tensors, Tensor tensor)
    {
        foreach (var candidate in tensors)
        {
            if (ReferenceEquals(candidate, tensor))
                return true;
        }
        return false;
    }

    [InlineArray(Length)]
    private struct InlineInputs
    {
        public const int Length = 3;
        private Tensor? _first;
    }
}
