namespace RawDiffusion.Tests;

/// <summary>A function of any number of inputs made of two lambdas, to show the engine results no operation of the library gives.</summary>
internal sealed class LambdaFunction(
    Func<Tensor[], Tensor> forward, Action<LambdaFunction, Tensor, Tensor?[]> backward, bool createGraph = true, ulong reads = ulong.MaxValue)
    : Function
{
    public override string Name => "lambda";

    protected internal override bool SupportsCreateGraph => createGraph;

    protected override ulong ReadsInputs => reads;

    public Tensor Input(int i) => Inputs[i];

    public bool Needs(int i) => NeedsGrad(i);

    protected override Tensor Forward(ReadOnlySpan<Tensor> inputs) => forward(inputs.ToArray());

    protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
    {
        var gradients = new Tensor?[gradInputs.Length];
        backward(this, gradOutput, gradients);
        gradients.CopyTo(gradInputs);
    }
}

/// <summary>Small tensors on the Reference device, whose float64 results of whole numbers are exact.</summary>
internal static class Exact
{
    public static Tensor Leaf(params double[] values) => Constant(values).RequireGrad();

    public static Tensor Constant(params double[] values) => Tensor.From(values, [values.Length], Device.Reference);

    public static double[] Values(this Tensor? tensor) => tensor!.ToDoubleArray();
}
