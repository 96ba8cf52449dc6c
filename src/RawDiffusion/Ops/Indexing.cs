using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public partial class Tensor
    {
        /// <summary>
        /// y[..., j, ...] = x[..., index[..., j, ...], ...] along an axis, as <c>torch.gather</c>. The index (Int32) has the
        /// extents of this tensor along all other axes.
        /// </summary>
        /// <exception cref="ArgumentException">The shapes do not fit, or an index is outside the axis.</exception>
        public Tensor Gather(int axis, Tensor index)
        {
            int at = Shape.Axis(axis);
            index.ExpectInt32("gather");
            ExpectSameDevice("gather", this, index);
            if (index.Rank != Rank || index.Shape.With(at, 0) != Shape.With(at, 0))
                throw new ArgumentException($"gather: an index of shape {index.Shape} does not fit {Shape}: all axes but axis {axis} must agree.");
            IndexRange.Check("gather", index, Shape[at]);
            return new GatherFunction(at).Apply(this, index);
        }

        /// <summary>The slices along an axis that index[n] (Int32) names, in its order, as <c>torch.index_select</c>.</summary>
        /// <exception cref="ArgumentException">The index is not a vector, or outside the axis.</exception>
        public Tensor IndexSelect(int axis, Tensor index)
        {
            int at = Shape.Axis(axis), rows = Shape[at], count = index.Count;
            index.ExpectInt32("indexSelect");
            ExpectSameDevice("indexSelect", this, index);
            if (index.Rank != 1)
                throw new ArgumentException($"indexSelect: the index must be a vector, not {index.Shape}.");
            IndexRange.Check("indexSelect", index, rows);
            int outer = Shape.Product(0, at);
            var selected = Shape.With(at, count);
            if (outer != 1)
            {
                // All slices of all outer positions are rows of one table.
                int[] each = index.ToInt32Array(), all = new int[outer * count];
                for (int i = 0; i < all.Length; i++)
                    all[i] = i / count * rows + each[i % count];
                index = From(all, [all.Length], Device);
            }
            return new EmbeddingFunction("indexSelect").Apply(Reshape(outer * rows, Shape.Product(at + 1, Rank)), index).Reshape(selected);
        }

        /// <summary>Int32 labels[...] to floats [..., classes]: 1 at the label, else 0.</summary>
        /// <exception cref="ArgumentOutOfRangeException">A label is not in [0, classes).</exception>
        public Tensor OneHot(int classes)
        {
            ExpectInt32("oneHot");
            IndexRange.Check("oneHot", this, classes);
            Span<int> extents = stackalloc int[Rank + 1];
            Shape.CopyTo(extents);
            extents[Rank] = classes;
            var y = Empty(new Shape(extents), Device);
            Device.OneHot(Count, classes, Storage, y.Storage);
            return y;
        }
    }

    public static partial class F
    {
        /// <summary>Rows of weight[rows, dim] at index[...] (Int32): [..., dim].</summary>
        /// <exception cref="ArgumentException">The weight is not a matrix, or an index not one of its rows.</exception>
        public static Tensor Embedding(Tensor index, Tensor weight)
        {
            index.ExpectInt32("embedding");
            Tensor.ExpectSameDevice("embedding", index, weight);
            if (weight.Rank != 2)
                throw new ArgumentException($"embedding: the weight must be [rows, dim], not {weight.Shape}.");
            IndexRange.Check("embedding", index, weight.Shape[0]);
            Span<int> extents = stackalloc int[index.Rank + 1];
            index.Shape.CopyTo(extents);
            extents[index.Rank] = weight.Shape[1];
            return new EmbeddingFunction("embedding").Apply(weight, index).Reshape(new Shape(extents));
        }
    }
}

namespace RawDiffusion.Ops
{
    // Taking rows and adding up rows are each other's derivatives, so both can be differentiated any number of times.

    /// <summary>Rows of a matrix x[rows, inner] at any number of indices: [count, inner].</summary>
    internal sealed class EmbeddingFunction(string name) : Function
    {
        public override string Name => name;

        protected override ulong ReadsInputs => 0b10;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor x = inputs[0].ExpectFloat(Name), index = inputs[1];
            var y = Tensor.EmptyOf(x, [index.Count, x.Shape[1]]);
            x.Device.Embedding(new GatherGeometry(1, x.Shape[0], x.Shape[1], index.Count), x.Storage, index.Storage, y.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = new EmbeddingGradFunction(name, Inputs[0].Shape[0]).Apply(gradOutput, Inputs[1]);
    }

    internal sealed class EmbeddingGradFunction(string name, int rows) : Function
    {
        public override string Name => name + " gradient";

        protected override ulong ReadsInputs => 0b10;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor gy = inputs[0], index = inputs[1];
            int inner = gy.Shape[1];
            var gx = Tensor.EmptyOf(gy, [rows, inner]);
            gy.Device.EmbeddingGrad(new GatherGeometry(1, rows, inner, index.Count), gy.Storage, index.Storage, gx.Storage);
            return gx;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = new EmbeddingFunction(name).Apply(gradOutput, Inputs[1]);
    }

    internal sealed class GatherFunction(int axis) : Function
    {
        public override string Name => "gather";

        protected override ulong ReadsInputs => 0b10;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor x = inputs[0].ExpectFloat(Name), index = inputs[1];
            var y = Tensor.EmptyOf(x, index.Shape);
            x.Device.Gather(Geometry(x.Shape, axis, index.Shape[axis]), x.Storage, index.Storage, y.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = new GatherGradFunction(axis, Inputs[0].Shape).Apply(gradOutput, Inputs[1]);

        internal static GatherGeometry Geometry(Shape shape, int axis, int count) =>
            new(shape.Product(0, axis), shape[axis], shape.Product(axis + 1, shape.Rank), count);
    }

    internal sealed class GatherGradFunction(int axis, Shape shape) : Function
    {
        public override string Name => "gather gradient";

        protected override ulong ReadsInputs => 0b10;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor gy = inputs[0], index = inputs[1];
            var gx = Tensor.EmptyOf(gy, shape);
            gy.Device.GatherGrad(GatherFunction.Geometry(shape, axis, index.Shape[axis]), gy.Storage, index.Storage, gx.Storage);
            return gx;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = new GatherFunction(axis).Apply(gradOutput, Inputs[1]);
    }
}
