using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public partial class Tensor
    {
        /// <summary>
        /// The matrix product over the last two axes: [..., M, K] times [..., K, N] gives [..., M, N]. The axes before are a batch
        /// and broadcast by NumPy's rule.
        /// </summary>
        /// <param name="transposeA">This tensor is stored as [..., K, M].</param>
        /// <param name="transposeB">The other is stored as [..., N, K]. Neither is copied to be transposed.</param>
        /// <exception cref="ArgumentException">A rank below 2, matrices or batches that do not fit, integers, or two devices.</exception>
        public Tensor MatMul(Tensor other, bool transposeA = false, bool transposeB = false)
        {
            var batch = MatMulFunction.BatchShape(this, other, transposeA, transposeB);
            return new MatMulFunction(batch, transposeA, transposeB)
                .Apply(MatMulFunction.Expand(this, batch), MatMulFunction.Expand(other, batch));
        }
    }
}

namespace RawDiffusion.Ops
{
    /// <summary>Batches of both operands are either that of the output or a single matrix, which is then read again and again.</summary>
    internal sealed class MatMulFunction(Shape batch, bool transposeA, bool transposeB) : Function
    {
        private const string OperationName = "matmul";

        public override string Name => OperationName;

        /// <summary>Checks the operands and gives the batch axes of the product.</summary>
        public static Shape BatchShape(Tensor a, Tensor b, bool transposeA, bool transposeB)
        {
            a.ExpectFloat(OperationName);
            b.ExpectFloat(OperationName);
            Tensor.ExpectSameDevice(OperationName, a, b);
            Tensor.ExpectSameType(OperationName, a, b);
            if (a.Rank < 2 || b.Rank < 2)
                throw new ArgumentException($"{OperationName}: operands are matrices or batches of them, not {a.Shape} and {b.Shape}. Reshape a vector to [1, n] or [n, 1].");
            int columns = a.Shape[transposeA ? -2 : -1], rows = b.Shape[transposeB ? -1 : -2];
            if (columns != rows)
            {
                throw new ArgumentException(
                    $"{OperationName}: {a.Shape}{(transposeA ? " transposed" : "")} has {columns} columns, {b.Shape}{(transposeB ? " transposed" : "")} has {rows} rows; they must agree.");
            }
            return Shape.Broadcast(Leading(a.Shape), Leading(b.Shape), OperationName);
        }

        /// <summary>Repeats matrices where the batch axes of an operand are neither all present nor all 1.</summary>
        public static Tensor Expand(Tensor x, Shape batch)
        {
            int matrices = x.Shape.Product(0, x.Rank - 2);
            return matrices == 1 || matrices == batch.Count ? x : x.BroadcastTo(Join(batch, x.Shape[-2], x.Shape[-1]));
        }

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor a = inputs[0], b = inputs[1];
            int m = a.Shape[transposeA ? -1 : -2], k = a.Shape[transposeA ? -2 : -1], n = b.Shape[transposeB ? -2 : -1];
            var c = Tensor.EmptyOf(a, Join(batch, m, n));
            var g = new MatMulGeometry(batch.Count, m, n, k, transposeA, transposeB, Stride(a), Stride(b));
            a.Device.MatMul(g, a.Storage, b.Storage, null, c.Storage);
            return c;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            Tensor a = Inputs[0], b = Inputs[1];
            if (NeedsGrad(0))
                gradInputs[0] = GradA(a, b, gradOutput).SumTo(a.Shape);
            if (NeedsGrad(1))
                gradInputs[1] = GradB(a, b, gradOutput).SumTo(b.Shape);
        }

        // C = op(A) op(B), so gop(A) = gC op(B)^T and gop(B) = op(A)^T gC; where the operand is stored transposed, so is its gradient.

        private Tensor GradA(Tensor a, Tensor b, Tensor gc) => transposeA
            ? b.MatMul(gc, transposeA: transposeB, transposeB: true)
            : gc.MatMul(b, transposeB: !transposeB);

        private Tensor GradB(Tensor a, Tensor b, Tensor gc)
        {
            if (!transposeA && batch.Count > 1 && Stride(b) == 0 && Stride(a) != 0)
            {
                // One B for the whole batch: the sum over the batch is part of one product of tall matrices.
                int rows = a.Count / Math.Max(1, a.Shape[-1]);
                if (a.Shape[-1] > 0)
                {
                    a = a.Reshape(rows, a.Shape[-1]);
                    gc = gc.Reshape(rows, gc.Shape[-1]);
                    return (transposeB ? gc.MatMul(a, transposeA: true) : a.MatMul(gc, transposeA: true)).Reshape(b.Shape);
                }
            }
            return transposeB ? gc.MatMul(a, transposeA: true, transposeB: transposeA) : a.MatMul(gc, transposeA: !transposeA);
        }

        private static int Stride(Tensor x) => x.Shape.Product(0, x.Rank - 2) == 1 ? 0 : x.Shape[-2] * x.Shape[-1];

        private static Shape Leading(Shape shape)
        {
            Span<int> extents = stackalloc int[Shape.MaxRank];
            shape.CopyTo(extents);
            return new Shape(extents[..(shape.Rank - 2)]);
        }

        private static Shape Join(Shape batch, int rows, int columns)
        {
            Span<int> extents = stackalloc int[Shape.MaxRank];
            batch.CopyTo(extents);
            extents[batch.Rank] = rows;
            extents[batch.Rank + 1] = columns;
            return new Shape(extents[..(batch.Rank + 2)]);
        }
    }
}
