using System.Runtime.CompilerServices;
using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public partial class Tensor
    {
        /// <summary>The same elements in another shape; shares memory. One extent may be -1: it is what the others leave.</summary>
        /// <exception cref="ArgumentException">The number of elements differs.</exception>
        [OverloadResolutionPriority(1)]
        public Tensor Reshape(params ReadOnlySpan<int> extents) => Reshape(ReshapeFunction.Infer(Shape, extents));

        /// <inheritdoc cref="Reshape(ReadOnlySpan{int})"/>
        public Tensor Reshape(Shape shape)
        {
            if (shape.Count != Count)
                throw new ArgumentException($"reshape: {Shape} has {Count} elements, {shape} has {shape.Count}.");
            return shape == Shape ? this : new ReshapeFunction(shape).Apply(this);
        }

        /// <summary>The axes from <paramref name="startAxis"/> to <paramref name="endAxis"/>, both included, as one; shares memory.</summary>
        public Tensor Flatten(int startAxis = 0, int endAxis = -1)
        {
            if (Rank == 0)
                return Reshape(1);
            int start = Shape.Axis(startAxis), end = Shape.Axis(endAxis);
            if (start > end)
                throw new ArgumentException($"flatten: axis {startAxis} comes after axis {endAxis} in a tensor of shape {Shape}.");
            Span<int> extents = stackalloc int[Rank - (end - start)];
            for (int i = 0; i < extents.Length; i++)
                extents[i] = i < start ? Shape[i] : i == start ? Shape.Product(start, end + 1) : Shape[i + end - start];
            return Reshape(new Shape(extents));
        }

        /// <summary>A new axis of extent 1 at <paramref name="axis"/> (-1: after the last); shares memory.</summary>
        public Tensor Unsqueeze(int axis)
        {
            int at = axis < 0 ? axis + Rank + 1 : axis;
            if (at < 0 || at > Rank)
                throw new ArgumentOutOfRangeException(nameof(axis), $"unsqueeze: axis {axis} cannot be added to a tensor of shape {Shape}.");
            Span<int> extents = stackalloc int[Rank + 1];
            for (int i = 0; i < extents.Length; i++)
                extents[i] = i < at ? Shape[i] : i == at ? 1 : Shape[i - 1];
            return Reshape(new Shape(extents));
        }

        /// <summary>Drops an axis of extent 1; shares memory.</summary>
        /// <exception cref="ArgumentException">The extent is not 1.</exception>
        public Tensor Squeeze(int axis)
        {
            int at = Shape.Axis(axis);
            if (Shape[at] != 1)
                throw new ArgumentException($"squeeze: axis {axis} of {Shape} has extent {Shape[at]}, not 1.");
            Span<int> extents = stackalloc int[Rank - 1];
            for (int i = 0; i < extents.Length; i++)
                extents[i] = Shape[i < at ? i : i + 1];
            return Reshape(new Shape(extents));
        }

        /// <summary>Reorders the axes: axis i of the result is axis <c>axes[i]</c> of this tensor. Shares memory where only axes of extent 1 move.</summary>
        /// <exception cref="ArgumentException"><paramref name="axes"/> is not a reordering of all axes.</exception>
        public Tensor Permute(params ReadOnlySpan<int> axes)
        {
            if (axes.Length != Rank)
                throw new ArgumentException($"permute: {axes.Length} axes given for a tensor of shape {Shape}.");
            var order = new AxisValues(Rank);
            Span<int> extents = stackalloc int[Rank];
            uint seen = 0;
            int last = -1;
            bool moves = false;
            for (int i = 0; i < axes.Length; i++)
            {
                int axis = Shape.Axis(axes[i]);
                if ((seen >> axis & 1) != 0)
                    throw new ArgumentException($"permute: axis {axes[i]} is given twice for a tensor of shape {Shape}.");
                seen |= 1u << axis;
                order[i] = axis;
                extents[i] = Shape[axis];
                if (extents[i] == 1)
                    continue;
                moves |= axis < last;
                last = axis;
            }
            return moves ? new PermuteFunction(order).Apply(this) : Reshape(new Shape(extents));
        }

        /// <summary>Swaps two axes.</summary>
        public Tensor Transpose(int axisA, int axisB)
        {
            Span<int> axes = stackalloc int[Rank];
            for (int i = 0; i < axes.Length; i++)
                axes[i] = i;
            axes[Shape.Axis(axisA)] = Shape.Axis(axisB);
            axes[Shape.Axis(axisB)] = Shape.Axis(axisA);
            return Permute(axes);
        }

        /// <summary>The part [start, start + length) along an axis, as <c>torch.narrow</c>.</summary>
        /// <exception cref="ArgumentOutOfRangeException">The part is not inside the axis.</exception>
        public Tensor Slice(int axis, int start, int length)
        {
            int at = Shape.Axis(axis);
            if (start < 0 || length < 0 || (long)start + length > Shape[at])
                throw new ArgumentOutOfRangeException(
                    nameof(start), $"slice: [{start}, {(long)start + length}) is not inside axis {axis} of a tensor of shape {Shape}.");
            if (length == Shape[at])
                return this;
            var starts = new AxisValues(Rank);
            starts[at] = start;
            return new CropFunction(starts, Shape.With(at, length)).Apply(this);
        }

        /// <summary>The box of shape <paramref name="extent"/> that begins at <paramref name="start"/>.</summary>
        /// <exception cref="ArgumentException">The box is not inside the tensor.</exception>
        public Tensor Crop(ReadOnlySpan<int> start, Shape extent)
        {
            if (start.Length != Rank || extent.Rank != Rank)
                throw new ArgumentException($"crop: a tensor of shape {Shape} needs {Rank} starts and extents, not {start.Length} and {extent.Rank}.");
            var starts = new AxisValues(Rank);
            for (int i = 0; i < Rank; i++)
            {
                if (start[i] < 0 || (long)start[i] + extent[i] > Shape[i])
                    throw new ArgumentException($"crop: [{start[i]}, {(long)start[i] + extent[i]}) is not inside axis {i} of a tensor of shape {Shape}.");
                starts[i] = start[i];
            }
            return extent == Shape ? this : new CropFunction(starts, extent).Apply(this);
        }

        /// <summary>Adds <paramref name="before"/>[i] and <paramref name="after"/>[i] elements of a constant value around axis i.</summary>
        public Tensor Pad(ReadOnlySpan<int> before, ReadOnlySpan<int> after, double value = 0)
        {
            if (before.Length != Rank || after.Length != Rank)
                throw new ArgumentException($"pad: a tensor of shape {Shape} needs {Rank} numbers before and after, not {before.Length} and {after.Length}.");
            var starts = new AxisValues(Rank);
            Span<int> extents = stackalloc int[Rank];
            for (int i = 0; i < Rank; i++)
            {
                if (before[i] < 0 || after[i] < 0)
                    throw new ArgumentException($"pad: axis {i} of {Shape} cannot be padded by {before[i]} and {after[i]}; use Crop to remove elements.");
                starts[i] = before[i];
                extents[i] = checked(before[i] + Shape[i] + after[i]);
            }
            var shape = new Shape(extents);
            return shape == Shape ? this : new PadFunction(starts, shape, value).Apply(this);
        }

        /// <summary>The tensors one after the other along an axis; their other axes agree.</summary>
        public static Tensor Concat(ReadOnlySpan<Tensor> tensors, int axis = 0)
        {
            if (tensors.Length == 0)
                throw new ArgumentException("concat: there are no tensors.");
            var first = tensors[0];
            int at = first.Shape.Axis(axis);
            long extent = 0;
            foreach (var tensor in tensors)
            {
                ExpectSameDevice("concat", first, tensor);
                if (tensor.DType != first.DType || tensor.Rank != first.Rank || tensor.Shape.With(at, 0) != first.Shape.With(at, 0))
                    throw new ArgumentException(
                        $"concat: {tensor.DType} {tensor.Shape} does not continue {first.DType} {first.Shape} along axis {axis}: the other axes must agree.");
                extent += tensor.Shape[at];
            }
            return tensors.Length == 1 ? first : new ConcatFunction(at, first.Shape.With(at, checked((int)extent))).Apply(tensors);
        }

        /// <summary>The tensors, all of one shape, along a new axis.</summary>
        public static Tensor Stack(ReadOnlySpan<Tensor> tensors, int axis = 0)
        {
            if (tensors.Length == 0)
                throw new ArgumentException("stack: there are no tensors.");
            var layers = new Tensor[tensors.Length];
            for (int i = 0; i < layers.Length; i++)
            {
                if (tensors[i].Shape != tensors[0].Shape)
                    throw new ArgumentException($"stack: shapes {tensors[0].Shape} and {tensors[i].Shape} differ.");
                layers[i] = tensors[i].Unsqueeze(axis);
            }
            return Concat(layers, axis);
        }

        /// <summary>Parts of <paramref name="size"/> along an axis; the last is what remains.</summary>
        public Tensor[] Split(int size, int axis = 0)
        {
            int extent = Shape[axis];
            if (size < 1)
                throw new ArgumentOutOfRangeException(nameof(size), $"split: the size of a part must be at least 1, not {size}.");
            var parts = new Tensor[Math.Max(1, (extent + size - 1) / size)];
            for (int i = 0; i < parts.Length; i++)
                parts[i] = Slice(axis, i * size, Math.Min(size, extent - i * size));
            return parts;
        }

        /// <summary>Parts of the given sizes along an axis.</summary>
        /// <exception cref="ArgumentException">The sizes do not add up to the extent.</exception>
        public Tensor[] Split(ReadOnlySpan<int> sizes, int axis = 0)
        {
            long sum = 0;
            foreach (int size in sizes)
                sum += size;
            if (sum != Shape[axis])
                throw new ArgumentException($"split: sizes that add up to {sum} do not divide axis {axis} of a tensor of shape {Shape}.");
            var parts = new Tensor[sizes.Length];
            int start = 0;
            for (int i = 0; i < parts.Length; start += sizes[i++])
                parts[i] = Slice(axis, start, sizes[i]);
            return parts;
        }

        /// <summary>At most <paramref name="count"/> parts of equal size along an axis; the last may be smaller, as <c>torch.chunk</c>.</summary>
        public Tensor[] Chunk(int count, int axis = 0)
        {
            if (count < 1)
                throw new ArgumentOutOfRangeException(nameof(count), $"chunk: the number of parts must be at least 1, not {count}.");
            return Split(Math.Max(1, (Shape[axis] + count - 1) / count), axis);
        }

        /// <summary>Repeats along axes of extent 1 and along new leading axes, by NumPy's rule.</summary>
        /// <exception cref="ArgumentException">This shape does not broadcast to the other.</exception>
        public Tensor BroadcastTo(Shape shape)
        {
            if (shape == Shape)
                return this;
            if (Shape.Broadcast(Shape, shape, "broadcastTo") != shape)
                throw new ArgumentException($"broadcastTo: {Shape} cannot be repeated to {shape}.");
            return shape.Count == Count ? Reshape(shape) : new BroadcastToFunction(shape).Apply(this);
        }

        /// <summary>A tensor with undefined contents of the type and on the device of another.</summary>
        internal static Tensor EmptyOf(Tensor like, Shape shape) => new(MemoryScope.Allocate(like.Device, like.DType, shape.Count), shape);
    }
}

namespace RawDiffusion.Ops
{
    /// <summary>One number for each axis, held inline.</summary>
    [InlineArray(Shape.MaxRank)]
    internal struct AxisArray
    {
        private int _first;
    }

    internal struct AxisValues(int rank)
    {
        private AxisArray _values;

        public int this[int axis]
        {
            readonly get => _values[axis];
            set => _values[axis] = value;
        }

        /// <summary>The values as a span that lives as long as this struct stays where it is.</summary>
        [System.Diagnostics.CodeAnalysis.UnscopedRef]
        public readonly ReadOnlySpan<int> Span => ((ReadOnlySpan<int>)_values)[..rank];
    }

    internal sealed class ReshapeFunction(Shape shape) : Function
    {
        public override string Name => "reshape";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs) => new(inputs[0].Storage, shape);

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = gradOutput.Reshape(Inputs[0].Shape);

        internal static Shape Infer(Shape from, ReadOnlySpan<int> extents)
        {
            int unknown = extents.IndexOf(-1);
            if (unknown < 0)
                return new Shape(extents);
            long known = 1;
            for (int i = 0; i < extents.Length; i++)
            {
                if (i == unknown)
                    continue;
                if (extents[i] < 0)
                    throw new ArgumentException($"reshape: only one extent may be -1, and none less, in [{string.Join(", ", extents.ToArray())}].");
                known *= extents[i];
            }
            if (known == 0 || from.Count % known != 0)
                throw new ArgumentException($"reshape: {from} ({from.Count} elements) does not fit [{string.Join(", ", extents.ToArray())}].");
            Span<int> resolved = stackalloc int[extents.Length];
            extents.CopyTo(resolved);
            resolved[unknown] = (int)(from.Count / known);
            return new Shape(resolved);
        }
    }

    internal sealed class PermuteFunction(AxisValues axes) : Function
    {
        private AxisValues _axes = axes;

        public override string Name => "permute";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0];
            Span<int> extents = stackalloc int[x.Rank];
            for (int i = 0; i < extents.Length; i++)
                extents[i] = x.Shape[_axes[i]];
            var y = Tensor.EmptyOf(x, new Shape(extents));
            x.Device.Permute(x.Shape, _axes.Span, x.Storage, y.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            Span<int> inverse = stackalloc int[gradOutput.Rank];
            for (int i = 0; i < inverse.Length; i++)
                inverse[_axes[i]] = i;
            gradInputs[0] = gradOutput.Permute(inverse);
        }
    }

    /// <summary>A box of a tensor. Its gradient is <see cref="PadFunction"/> with zeros, and the other way round.</summary>
    internal sealed class CropFunction(AxisValues start, Shape extent) : Function
    {
        private AxisValues _start = start;

        public override string Name => "crop";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0];
            var y = Tensor.EmptyOf(x, extent);
            x.Device.CopyRegion(x.Shape, _start.Span, x.Storage, extent, new AxisValues(x.Rank).Span, y.Storage, extent);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = new PadFunction(_start, Inputs[0].Shape, 0).Apply(gradOutput);
    }

    internal sealed class PadFunction(AxisValues start, Shape shape, double value) : Function
    {
        private AxisValues _start = start;

        public override string Name => "pad";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0];
            var y = Tensor.EmptyOf(x, shape);
            x.Device.Fill(y.Storage, value);
            x.Device.CopyRegion(x.Shape, new AxisValues(x.Rank).Span, x.Storage, shape, _start.Span, y.Storage, x.Shape);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = new CropFunction(_start, Inputs[0].Shape).Apply(gradOutput);
    }

    internal sealed class ConcatFunction(int axis, Shape shape) : Function
    {
        public override string Name => "concat";

        protected override ulong ReadsInputs => 0;

        /// <summary>Number of runs that every input is copied in.</summary>
        private int Rows => shape.Product(0, axis);

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var y = Tensor.EmptyOf(inputs[0], shape);
            if (inputs.Length == 2)
            {
                y.Device.Join(Rows, Width(inputs[0]), Width(inputs[1]), inputs[0].Storage, inputs[1].Storage, y.Storage);
                return y;
            }
            AxisValues zero = new(shape.Rank), at = new(shape.Rank);
            foreach (var x in inputs)
            {
                x.Device.CopyRegion(x.Shape, zero.Span, x.Storage, shape, at.Span, y.Storage, x.Shape);
                at[axis] += x.Shape[axis];
            }
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            if (gradInputs.Length == 2 && NeedsGrad(0) && NeedsGrad(1) && !GradMode.IsEnabled)
            {
                var first = gradInputs[0] = Tensor.EmptyOf(gradOutput, Inputs[0].Shape);
                var second = gradInputs[1] = Tensor.EmptyOf(gradOutput, Inputs[1].Shape);
                gradOutput.Device.Split(Rows, Width(first), Width(second), gradOutput.Storage, first.Storage, second.Storage);
                return;
            }
            var start = new AxisValues(shape.Rank);
            for (int i = 0; i < gradInputs.Length; i++)
            {
                if (NeedsGrad(i))
                    gradInputs[i] = new CropFunction(start, Inputs[i].Shape).Apply(gradOutput);
                start[axis] += Inputs[i].Shape[axis];
            }
        }

        /// <summary>Length of an input's runs.</summary>
        private int Width(Tensor x) => x.Shape.Product(axis, x.Rank);
    }

    internal sealed class BroadcastToFunction(Shape shape) : Function
    {
        public override string Name => "broadcastTo";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0];
            var y = Tensor.EmptyOf(x, shape);
            x.Device.Broadcast(new BroadcastGeometry(shape, x.Shape, x.Shape), x.Storage, y.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = gradOutput.SumTo(Inputs[0].Shape);
    }
}
