using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    // Everywhere: a negative axis counts from the last; no axes means all of them; keepDims leaves reduced axes with extent 1.
    public partial class Tensor
    {
        /// <summary>The sum of all elements, a scalar.</summary>
        public Tensor Sum() => Sum(AxisMask.All(Rank), false);

        public Tensor Sum(int axis, bool keepDims = false) => Sum(AxisMask.Of("sum", Shape, [axis]), keepDims);

        /// <summary>Sums over the given axes, over all when there are none.</summary>
        public Tensor Sum(ReadOnlySpan<int> axes, bool keepDims = false) => Sum(AxisMask.Of("sum", Shape, axes), keepDims);

        /// <summary>The mean of all elements, a scalar.</summary>
        public Tensor Mean() => Mean(AxisMask.All(Rank), false);

        public Tensor Mean(int axis, bool keepDims = false) => Mean(AxisMask.Of("mean", Shape, [axis]), keepDims);

        /// <summary>The mean over the given axes, over all when there are none; NaN where there is nothing to average.</summary>
        public Tensor Mean(ReadOnlySpan<int> axes, bool keepDims = false) => Mean(AxisMask.Of("mean", Shape, axes), keepDims);

        /// <summary>The largest element, a scalar.</summary>
        public Tensor Max() => Extremum(ReduceOp.Max, [], false);

        public Tensor Max(int axis, bool keepDims = false) => Extremum(ReduceOp.Max, [axis], keepDims);

        /// <summary>
        /// The largest elements along the given axes; NaN where there is one. Elements that share the maximum share its gradient
        /// equally, as PyTorch's <c>amax</c>.
        /// </summary>
        /// <exception cref="ArgumentException">There is nothing along these axes.</exception>
        public Tensor Max(ReadOnlySpan<int> axes, bool keepDims = false) => Extremum(ReduceOp.Max, axes, keepDims);

        /// <summary>The smallest element, a scalar.</summary>
        public Tensor Min() => Extremum(ReduceOp.Min, [], false);

        public Tensor Min(int axis, bool keepDims = false) => Extremum(ReduceOp.Min, [axis], keepDims);

        /// <summary>The smallest elements along the given axes, as <see cref="Max(ReadOnlySpan{int}, bool)"/>.</summary>
        public Tensor Min(ReadOnlySpan<int> axes, bool keepDims = false) => Extremum(ReduceOp.Min, axes, keepDims);

        /// <summary>log(sum(exp(x))) over the given axes, over all when there are none, without overflow.</summary>
        /// <exception cref="ArgumentException">There is nothing along these axes.</exception>
        public Tensor LogSumExp(ReadOnlySpan<int> axes, bool keepDims = false)
        {
            var mask = AxisMask.Of("logSumExp", Shape, axes).ExpectElements("logSumExp", Shape);
            return new LogSumExpFunction(mask.Bits, AxisMask.Remove(Shape, mask.Bits, keepDims)).Apply(this);
        }

        /// <summary>The Euclidean norm over the given axes, over all when there are none. Its gradient at 0 is 0.</summary>
        public Tensor Norm(ReadOnlySpan<int> axes = default, bool keepDims = false) =>
            Elementwise.Unary<NormOfSquares>(SumOfSquares(AxisMask.Of("norm", Shape, axes), keepDims));

        /// <summary>
        /// The variance over the given axes: the sum of squared deviations from the mean, divided by count - correction (1 for the
        /// unbiased estimate, 0 for the population).
        /// </summary>
        public Tensor Variance(ReadOnlySpan<int> axes = default, double correction = 1, bool keepDims = false)
        {
            var mask = AxisMask.Of("variance", Shape, axes);
            var deviations = this - Mean(mask, keepDims: true);
            return deviations.SumOfSquares(mask, keepDims) / Math.Max(0, AxisMask.Count(Shape, mask.Bits) - correction);
        }

        /// <summary>The square root of <see cref="Variance"/>.</summary>
        public Tensor Std(ReadOnlySpan<int> axes = default, double correction = 1, bool keepDims = false) =>
            Variance(axes, correction, keepDims).Sqrt();

        /// <summary>The index (Int32) of the first largest element along an axis; NaN counts as the largest.</summary>
        /// <exception cref="ArgumentException">There is nothing along this axis.</exception>
        public Tensor ArgMax(int axis = -1, bool keepDims = false)
        {
            ExpectFloat("argMax");
            int bits = AxisMask.Of("argMax", Shape, [axis]).ExpectElements("argMax", Shape).Bits;
            axis = Shape.Axis(axis);
            var result = EmptyInt32(AxisMask.Remove(Shape, bits, keepDims), Device);
            Device.ArgMax(new ReduceGeometry(Shape.Product(0, axis), Shape[axis], Shape.Product(axis + 1, Rank)), Storage, result.Storage);
            return result;
        }

        /// <summary>Sums over the axes along which <paramref name="shape"/> was broadcast to this tensor's shape: the gradient of broadcasting.</summary>
        /// <exception cref="ArgumentException"><paramref name="shape"/> does not broadcast to this shape.</exception>
        public Tensor SumTo(Shape shape) => SumTo(shape, DType);

        /// <summary>The same with the sums kept in another floating type: float32 for the gradient of a bias that was added to bfloat16.</summary>
        internal Tensor SumTo(Shape shape, DType type)
        {
            if (Shape == shape)
                return To(type);
            if (shape.Rank > Rank || Shape.Broadcast(Shape, shape, "sumTo") != Shape)
                throw new ArgumentException($"sumTo: shape {shape} does not broadcast to {Shape}, so a tensor of that shape cannot be summed to it.");
            return new SumFunction(AxisMask.Broadcast(shape, Shape), shape, type).Apply(this);
        }

        private Tensor Sum(AxisMask axes, bool keepDims) =>
            new SumFunction(axes.Bits, AxisMask.Remove(Shape, axes.Bits, keepDims), DType).Apply(this);

        private Tensor Mean(AxisMask axes, bool keepDims) => Sum(axes, keepDims) / AxisMask.Count(Shape, axes.Bits);

        private Tensor SumOfSquares(AxisMask axes, bool keepDims) =>
            new SumOfSquaresFunction(axes.Bits, AxisMask.Remove(Shape, axes.Bits, keepDims)).Apply(this);

        private Tensor Extremum(ReduceOp op, ReadOnlySpan<int> axes, bool keepDims)
        {
            string name = ExtremumFunction.NameOf(op);
            var mask = AxisMask.Of(name, Shape, axes).ExpectElements(name, Shape);
            return new ExtremumFunction(op, mask.Bits, AxisMask.Remove(Shape, mask.Bits, keepDims)).Apply(this);
        }
    }
}

namespace RawDiffusion.Ops
{
    /// <summary>A reduction over the axes of a mask.</summary>
    /// <param name="axes">Bit i: axis i of the input is reduced.</param>
    /// <param name="result">The shape of the result: the input's with those axes removed, or of extent 1.</param>
    internal abstract class ReduceFunction(int axes, Shape result) : Function
    {
        protected int Axes => axes;

        protected Shape Result => result;

        /// <summary>A result or its gradient with the reduced axes put back with extent 1, so that it broadcasts against the input.</summary>
        protected Tensor Restore(Tensor reduced) => reduced.Reshape(AxisMask.Remove(Inputs[0].Shape, axes, keepDims: true));
    }

    /// <param name="type">Of the sums: that of the input, or float32 for the sums of bfloat16.</param>
    internal sealed class SumFunction(int axes, Shape result, DType type) : ReduceFunction(axes, result)
    {
        public override string Name => "sum";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0].ExpectFloat(Name);
            // Axes of extent 1: nothing to add up, the same memory seen in another shape.
            return AxisMask.Count(x.Shape, Axes) == 1 && x.Count > 0 && x.DType == type
                ? new Tensor(x.Storage, Result)
                : Reduction.Run(ReduceOp.Sum, x, Axes, Result, type);
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = Restore(gradOutput).To(Inputs[0].DType).BroadcastTo(Inputs[0].Shape);
    }

    internal sealed class SumOfSquaresFunction(int axes, Shape result) : ReduceFunction(axes, result)
    {
        public override string Name => "sumOfSquares";

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs) =>
            Reduction.Run(ReduceOp.SumOfSquares, inputs[0].ExpectFloat(Name), Axes, Result, inputs[0].DType);

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = Elementwise.Binary<ScaledProduct>(Inputs[0], Restore(gradOutput), 2);
    }

    /// <summary>The largest or smallest elements.</summary>
    internal sealed class ExtremumFunction(ReduceOp op, int axes, Shape result) : ReduceFunction(axes, result)
    {
        private Tensor? _y;

        public override string Name => NameOf(op);

        public static string NameOf(ReduceOp op) => op == ReduceOp.Max ? "max" : "min";

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs) => _y = Reduction.Run(op, inputs[0].ExpectFloat(Name), Axes, Result, inputs[0].DType);

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            var holders = Inputs[0].Eq(Restore(_y!));
            var count = holders.SumTo(AxisMask.Remove(Inputs[0].Shape, Axes, keepDims: true));
            gradInputs[0] = holders * (Restore(gradOutput) / count);
        }
    }

    internal sealed class LogSumExpFunction(int axes, Shape result) : ReduceFunction(axes, result)
    {
        private Tensor? _y;

        public override string Name => "logSumExp";

        // Before it was rounded to bfloat16: what y is off by is in the exponent of the derivative.
        private Tensor? _precise;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0].ExpectFloat(Name);
            if (x.DType != DType.BFloat16)
                return _y = Reduction.Run(ReduceOp.LogSumExp, x, Axes, Result, x.DType);
            _precise = Reduction.Run(ReduceOp.LogSumExp, x, Axes, Result, DType.Float32);
            return _y = _precise.To(x.DType);
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            var x = Inputs[0];
            gradInputs[0] = _precise is null || GradMode.IsEnabled
                ? (x - Restore(_y!)).Exp() * Restore(gradOutput)
                : ((x.To(DType.Float32) - Restore(_precise)).Exp() * Restore(gradOutput.To(DType.Float32))).To(x.DType);
        }
    }

    /// <summary>Runs a reduction over any axes as kernels over the middle of three axes.</summary>
    internal static class Reduction
    {
        /// <summary>
        /// Reduces over the axes of a mask. Adjacent axes are one; groups that are apart are reduced one after the other, the
        /// last first, so that no data has to be moved around.
        /// </summary>
        public static Tensor Run(ReduceOp op, Tensor x, int axes, Shape result, DType type)
        {
            var device = x.Device;
            var output = new Tensor(MemoryScope.Allocate(device, type, result.Count), result);
            var source = x.Storage;
            Storage? temporary = null;
            int end = x.Rank, inner = 1;
            int left = CountGroups(axes);
            if (left == 0)
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
                bool last = --left == 0;
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
