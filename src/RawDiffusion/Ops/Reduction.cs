using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public partial class Tensor
    {
        /// <summary>The sum of all elements, a scalar.</summary>
        public Tensor Sum() => Sum(AxisMask.All(Rank), false);

        /// <summary>Sums over one axis; a negative one counts from the last.</summary>
        public Tensor Sum(int axis, bool keepDims = false) => Sum(AxisMask.Of("sum", Shape, [axis]), keepDims);

        /// <summary>Sums over the given axes, over all when there are none. <paramref name="keepDims"/> leaves them with extent 1.</summary>
        public Tensor Sum(ReadOnlySpan<int> axes, bool keepDims = false) => Sum(AxisMask.Of("sum", Shape, axes), keepDims);

        /// <summary>The mean of all elements, a scalar.</summary>
        public Tensor Mean() => Mean(AxisMask.All(Rank), false);

        public Tensor Mean(int axis, bool keepDims = false) => Mean(AxisMask.Of("mean", Shape, [axis]), keepDims);

        /// <summary>The mean over the given axes, over all when there are none; NaN where there is nothing to average.</summary>
        public Tensor Mean(ReadOnlySpan<int> axes, bool keepDims = false) => Mean(AxisMask.Of("mean", Shape, axes), keepDims);

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

        private Tensor Sum(AxisMask axes, bool keepDims) =>
            new SumFunction(axes.Bits, AxisMask.Remove(Shape, axes.Bits, keepDims)).Apply(this);

        private Tensor Mean(AxisMask axes, bool keepDims) => Sum(axes, keepDims) / AxisMask.Count(Shape, axes.Bits);
    }
}

namespace RawDiffusion.Ops
{
    /// <summary>Sums over the axes of a mask: the adjoint of broadcasting.</summary>
    /// <param name="axes">Bit i: axis i of the input is summed.</param>
    /// <param name="result">The shape of the result: the input's with those axes removed, or of extent 1.</param>
    internal sealed class SumFunction(int axes, Shape result) : Function
    {
        public override string Name => "sum";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0].ExpectFloat(Name);
            // Axes of extent 1: nothing to add up, the same memory seen in another shape.
            return AxisMask.Count(x.Shape, axes) == 1 && x.Count > 0
                ? new Tensor(x.Storage, result)
                : Reduction.Run(ReduceOp.Sum, x, axes, result);
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = gradOutput.Reshape(AxisMask.Remove(Inputs[0].Shape, axes, keepDims: true)).BroadcastTo(Inputs[0].Shape);
    }

    /// <summary>Runs a reduction over any axes as kernels over the middle of three axes.</summary>
    internal static class Reduction
    {
        /// <summary>
        /// Reduces over the axes of a mask. Adjacent axes are one; groups that are apart are reduced one after the other, the
        /// last first, so that no data has to be moved around.
        /// </summary>
        public static Tensor Run(ReduceOp op, Tensor x, int axes, Shape result)
        {
            var device = x.Device;
            var output = Tensor.Empty(result, device);
            var source = x.Storage;
            Storage? temporary = null;
            int end = x.Rank, inner = 1;
            int before = CountGroups(axes);
            if (before == 0)
                device.Reduce(op, new ReduceGeometry(x.Count, 1, 1), source, output.Storage);
            while (end > 0)
            {
                int start = end - 1;
                bool reduced = (axes >> start & 1) != 0;
                while (start > 0 && (axes >> (start - 1) & 1) != 0 == reduced)
                    start--;
                int extent = x.Shape.Product(start, end), outer = x.Shape.Product(0, start);
                end = start;
                if (!reduced)
                {
                    inner *= extent;
                    continue;
                }
                bool last = --before == 0;
                var destination = last ? output.Storage : device.Allocate(device.FloatType, outer * inner);
                device.Reduce(op, new ReduceGeometry(outer, extent, inner), source, destination);
                if (temporary is not null)
                    device.Release(temporary);
                source = temporary = destination;
                if (op == ReduceOp.SumOfSquares)
                    op = ReduceOp.Sum;
            }
            return output;
        }

        private static int CountGroups(int axes)
        {
            int groups = 0;
            for (int rest = axes, previous = 0; rest != 0; previous = rest & 1, rest >>= 1)
                groups += (rest & 1) != 0 && previous == 0 ? 1 : 0;
            return groups;
        }
    }
}
