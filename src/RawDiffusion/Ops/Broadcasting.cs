using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public partial class Tensor
    {
        /// <summary>Repeats along new leading axes and axes of extent 1, by NumPy's rule.</summary>
        /// <exception cref="ArgumentException">This shape does not broadcast to <paramref name="shape"/>.</exception>
        public Tensor BroadcastTo(Shape shape)
        {
            if (Shape == shape)
                return this;
            if (Rank > shape.Rank || Shape.Broadcast(Shape, shape, "broadcastTo") != shape)
                throw new ArgumentException($"broadcastTo: a tensor of shape {Shape} does not broadcast to {shape}.");
            return new ExpandFunction(AxisMask.Broadcast(Shape, shape), shape).Apply(this);
        }

        /// <summary>Sums over the axes along which <paramref name="shape"/> was broadcast to this tensor's shape: the gradient of broadcasting.</summary>
        /// <exception cref="ArgumentException"><paramref name="shape"/> does not broadcast to this shape.</exception>
        public Tensor SumTo(Shape shape)
        {
            if (Shape == shape)
                return this;
            if (shape.Rank > Rank || Shape.Broadcast(Shape, shape, "sumTo") != Shape)
                throw new ArgumentException($"sumTo: shape {shape} does not broadcast to {Shape}, so a tensor of that shape cannot be summed to it.");
            return new SumFunction(AxisMask.Broadcast(shape, Shape), shape).Apply(this);
        }
    }
}

namespace RawDiffusion.Ops
{
    /// <summary>Repeats a tensor along the axes of a mask: the adjoint of <see cref="SumFunction"/>.</summary>
    /// <param name="axes">Bit i: axis i of <paramref name="result"/> is repeated.</param>
    internal sealed class ExpandFunction(int axes, Shape result) : Function
    {
        public override string Name => "broadcastTo";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0];
            var once = AxisMask.Remove(result, axes, keepDims: true);
            if (once == result)
                return new Tensor(x.Storage, result);
            var y = new Tensor(MemoryScope.Allocate(x.Device, x.DType, result.Count), result);
            x.Device.Broadcast(new BroadcastGeometry(result, once, once), x.Storage, y.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = new SumFunction(axes, Inputs[0].Shape).Apply(gradOutput);
    }
}
