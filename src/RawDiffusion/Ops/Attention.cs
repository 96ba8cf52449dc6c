using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public static partial class F
    {
        /// <summary>
        /// softmax(scale q k^T) v for every sample and head: q[B, Tq, H, D], k and v[B, Tk, H, D], result [B, Tq, H, D]. Self
        /// attention where Tq = Tk come from one sequence, cross attention otherwise. The scores are never stored as a whole.
        /// Source: Vaswani et al. 2017, Attention Is All You Need, equation 1; Dao 2023, FlashAttention-2, for the order of work.
        /// </summary>
        /// <param name="scale">What scores are multiplied with; 1 / sqrt(D) when left out.</param>
        /// <exception cref="ArgumentException">The shapes do not fit together, or there is no key to attend to.</exception>
        public static Tensor ScaledDotProductAttention(Tensor q, Tensor k, Tensor v, double? scale = null)
        {
            const string name = "scaledDotProductAttention";
            q.ExpectFloat(name);
            k.ExpectFloat(name);
            v.ExpectFloat(name);
            Tensor.ExpectSameDevice(name, q, k);
            Tensor.ExpectSameDevice(name, q, v);
            Tensor.ExpectSameType(name, q, k);
            Tensor.ExpectSameType(name, q, v);
            if (q.Rank != 4 || k.Rank != 4)
                throw new ArgumentException($"{name}: q {q.Shape} and k {k.Shape} must be [B, T, H, D].");
            if (k.Shape != v.Shape)
                throw new ArgumentException($"{name}: k has shape {k.Shape} and v {v.Shape}; they must be the same.");
            if (q.Shape[0] != k.Shape[0] || q.Shape[2] != k.Shape[2] || q.Shape[3] != k.Shape[3])
                throw new ArgumentException($"{name}: q {q.Shape} and k {k.Shape} may differ only in the length of the sequence, axis 1.");
            if (k.Shape[1] == 0 && q.Count > 0)
                throw new ArgumentException($"{name}: k {k.Shape} has no element to attend to.");
            return new Attention(scale ?? 1 / Math.Sqrt(Math.Max(1, q.Shape[3]))).Apply(q, k, v);
        }
    }
}

namespace RawDiffusion.Ops
{
    internal sealed class Attention(double scale) : Function
    {
        private Tensor? _y;
        private Tensor? _logSumExp;

        public override string Name => "scaledDotProductAttention";

        protected internal override bool SupportsCreateGraph => false;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor q = inputs[0], k = inputs[1], v = inputs[2];
            var g = Geometry(q.Shape, k.Shape);
            var y = Tensor.EmptyOf(q, q.Shape);
            _logSumExp = Tensor.Empty([g.Batch, g.Heads, g.QueryLength], q.Device);
            q.Device.Attention(g, q.Storage, k.Storage, v.Storage, y.Storage, _logSumExp.Storage);
            return _y = y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            Tensor q = Inputs[0], k = Inputs[1], v = Inputs[2];
            var gq = Tensor.EmptyOf(q, q.Shape);
            var gk = Tensor.EmptyOf(k, k.Shape);
            var gv = Tensor.EmptyOf(v, v.Shape);
            q.Device.AttentionGrad(
                Geometry(q.Shape, k.Shape), q.Storage, k.Storage, v.Storage, _y!.Storage, _logSumExp!.Storage, gradOutput.Storage,
                gq.Storage, gk.Storage, gv.Storage);
            if (NeedsGrad(0))
                gradInputs[0] = gq;
            if (NeedsGrad(1))
                gradInputs[1] = gk;
            if (NeedsGrad(2))
                gradInputs[2] = gv;
        }

        private AttentionGeometry Geometry(Shape q, Shape k) => new(q[0], q[2], q[1], k[1], q[3], scale);
    }
}
