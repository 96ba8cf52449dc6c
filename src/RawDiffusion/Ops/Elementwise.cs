using RawDiffusion.Backends;

namespace RawDiffusion.Ops;

/// <summary>An elementwise operation with its derivative.</summary>
public interface IUnaryOperation : IUnaryOperator
{
    /// <summary>
    /// gx from the input x, the output y and gy, made of tensor operations so that it can be differentiated again. Null where
    /// it is zero everywhere.
    /// </summary>
    static abstract Tensor? Derivative(Tensor x, Tensor y, Tensor gy, double a, double b);
}

/// <summary>An elementwise operation of two inputs with its derivatives.</summary>
public interface IBinaryOperation : IBinaryOperator
{
    /// <summary>The derivative for x, in the broadcast shape: the caller sums it to the shape of x. Null where it is zero everywhere.</summary>
    static abstract Tensor? DerivativeX(Tensor x, Tensor y, Tensor z, Tensor gz, double a);

    /// <summary>The derivative for y, likewise.</summary>
    static abstract Tensor? DerivativeY(Tensor x, Tensor y, Tensor z, Tensor gz, double a);
}

/// <summary>Runs and records elementwise operations. The operations themselves are the types in the other files of this folder.</summary>
public static class Elementwise
{
    /// <summary>y = f(x; a, b), of the shape of x.</summary>
    public static Tensor Unary<TOp>(Tensor x, double a = 0, double b = 0) where TOp : struct, IUnaryOperation =>
        Function.NeedsNode(x) ? new UnaryFunction<TOp>(a, b).Apply(x) : UnaryFunction<TOp>.Compute(x, a, b);

    /// <summary>z = f(x, y; a), of the shape that x and y broadcast to.</summary>
    public static Tensor Binary<TOp>(Tensor x, Tensor y, double a = 0) where TOp : struct, IBinaryOperation =>
        Function.NeedsNode(x) || Function.NeedsNode(y) ? new BinaryFunction<TOp>(a).Apply(x, y) : BinaryFunction<TOp>.Compute(x, y, a);
}

internal sealed class UnaryFunction<TOp>(double a, double b) : Function where TOp : struct, IUnaryOperation
{
    private Tensor? _y;

    public override string Name => TOp.Name;

    /// <summary>The forward pass alone, without a node for the tape.</summary>
    public static Tensor Compute(Tensor x, double a, double b)
    {
        var y = Tensor.EmptyOf(x.ExpectFloat(TOp.Name), x.Shape);
        x.Device.Unary<TOp>(x.Storage, y.Storage, a, b);
        return y;
    }

    protected override Tensor Forward(ReadOnlySpan<Tensor> inputs) => _y = Compute(inputs[0], a, b);

    protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
        gradInputs[0] = TOp.Derivative(Inputs[0], _y!, gradOutput, a, b);
}

internal sealed class BinaryFunction<TOp>(double a) : Function where TOp : struct, IBinaryOperation
{
    private Tensor? _z;

    public override string Name => TOp.Name;

    /// <inheritdoc cref="UnaryFunction{TOp}.Compute"/>
    public static Tensor Compute(Tensor x, Tensor y, double a)
    {
        Tensor.ExpectSameDevice(TOp.Name, x.ExpectFloat(TOp.Name), y.ExpectFloat(TOp.Name));
        Tensor.ExpectSameType(TOp.Name, x, y);
        var shape = Shape.Broadcast(x.Shape, y.Shape, TOp.Name);
        var z = Tensor.EmptyOf(x, shape);
        x.Device.Binary<TOp>(new BroadcastGeometry(shape, x.Shape, y.Shape), x.Storage, y.Storage, z.Storage, a);
        return z;
    }

    protected override Tensor Forward(ReadOnlySpan<Tensor> inputs) => _z = Compute(inputs[0], inputs[1], a);

    protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
    {
        Tensor x = Inputs[0], y = Inputs[1];
        if (NeedsGrad(0))
            gradInputs[0] = TOp.DerivativeX(x, y, _z!, gradOutput, a)?.SumTo(x.Shape);
        if (NeedsGrad(1))
            gradInputs[1] = TOp.DerivativeY(x, y, _z!, gradOutput, a)?.SumTo(y.Shape);
    }
}
