namespace RawDiffusion.Verification;

/// <summary>What the elements of a test input are drawn from.</summary>
public enum InputKind
{
    /// <summary>Standard normal.</summary>
    Normal,

    /// <summary>Uniform in [Low, High).</summary>
    Uniform,

    /// <summary>Int32 in [Low, High).</summary>
    Integers,
}

/// <summary>One input of a case. Values are drawn from a fixed seed per case, rounded to float32 so that every device gets the same ones.</summary>
/// <param name="Differentiate">Whether gradients for this input are compared and checked.</param>
/// <param name="IsParameter">Whether it belongs to a layer and stays float32 where what flows through the layer is bfloat16.</param>
public sealed record InputSpec(
    Shape Shape, InputKind Kind = InputKind.Normal, double Low = 0, double High = 1, bool Differentiate = true, bool IsParameter = false)
{
    public static InputSpec Normal(params ReadOnlySpan<int> shape) => new(new Shape(shape));

    /// <summary>Uniform in [low, high): for functions with a domain or a kink to keep away from.</summary>
    public static InputSpec Uniform(double low, double high, params ReadOnlySpan<int> shape) => new(new Shape(shape), InputKind.Uniform, low, high);

    /// <summary>Int32 in [0, end).</summary>
    public static InputSpec Integers(int end, params ReadOnlySpan<int> shape) => new(new Shape(shape), InputKind.Integers, 0, end, Differentiate: false);

    /// <summary>The same input as a layer's own.</summary>
    public InputSpec Parameter() => this with { IsParameter = true };

    /// <summary>The same input, held constant.</summary>
    public InputSpec Constant() => this with { Differentiate = false };
}

/// <summary>
/// One row of the table of operations: an operation on inputs of given shapes. From it follow the forward and gradient
/// comparison of every device with Reference, gradcheck in float64, determinism, a benchmark and a line of documentation.
/// </summary>
public sealed record OperationCase
{
    /// <summary>The operation, for example <c>conv2d</c>; cases of one operation are reported together.</summary>
    public required string Operation { get; init; }

    /// <summary>What distinguishes this case, for example <c>[2,7,7,3] k3 s2 p1</c>.</summary>
    public required string Description { get; init; }

    public required InputSpec[] Inputs { get; init; }

    /// <summary>Runs the operation on tensors made from <see cref="Inputs"/>, on whatever device they are.</summary>
    public required Func<Tensor[], Tensor> Run { get; init; }

    /// <summary>Number of terms summed into one output element; tolerances grow with its square root.</summary>
    public int ReductionLength { get; init; } = 1;

    /// <summary>The same for the longest sum in any gradient; by default that of the forward pass.</summary>
    public int GradientReductionLength { get => field == 0 ? ReductionLength : field; init; }

    /// <summary>False for operations without a derivative (comparisons, argmax, random numbers).</summary>
    public bool Differentiable { get; init; } = true;

    /// <summary>
    /// Whether it is computed in bfloat16 as well. Random numbers, time embeddings, the noise schedule and losses are float32 always: their
    /// rounding would be noise of its own in what a model learns.
    /// </summary>
    public bool HasBFloat16 { get; init; } = true;

    /// <summary>Whether the backward pass can itself be recorded; then a second-order gradcheck is made.</summary>
    public bool SecondOrder { get; init; }

    /// <summary>Multiplies the tolerances where an operation's stated error is larger; the reason is stated at the row.</summary>
    public double ToleranceFactor { get; init; } = 1;

    /// <summary>Chooses the values of the inputs, together with the text of the case. Operations that draw random numbers have seeds of their own.</summary>
    public ulong Seed { get; init; }

    public override string ToString() => $"{Operation} {Description}";
}
