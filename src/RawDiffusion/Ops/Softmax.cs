using RawDiffusion.Ops;

namespace RawDiffusion
{
    public static partial class F
    {
        /// <summary>exp(x) / sum(exp(x)) along an axis, without overflow.</summary>
        public static Tensor Softmax(Tensor x, int axis = -1) => AlongLast(x, axis, log: false);

        /// <summary>log(softmax(x)) along an axis, accurate where the softmax is nearly 0.</summary>
        public static Tensor LogSoftmax(Tensor x, int axis = -1) => AlongLast(x, axis, log: true);

        private static Tensor AlongLast(Tensor x, int axis, bool log)
        {
            axis = x.Shape.Axis(axis);
            if (axis == x.Rank - 1)
                return new SoftmaxFunction(log).Apply(x);
            return new SoftmaxFunction(log).Apply(x.Transpose(axis, -1)).Transpose(axis, -1);
        }
    }
}

namespace RawDiffusion.Ops
{
    /// <summary>Softmax, or its logarithm, over the last axis.</summary>
    internal sealed class SoftmaxFunction(bool log) : Function
    {
        private Tensor? _y;

        public override string Name => log ? "logSoftmax" : "softmax";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0].ExpectFloat(Name);
            var y = Tensor.EmptyOf(x, x.Shape);
            x.Device.Softmax(x.Shape.Product(0, x.Rank - 1), x.Shape[^1], log, x.Storage, y.Storage);
            return _y = y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            var y = _y!;
            if (!GradMode.IsEnabled)
            {
                var gx = Tensor.EmptyOf(y, y.Shape);
                y.Device.SoftmaxGrad(y.Shape.Product(0, y.Rank - 1), y.Shape[^1], log, y.Storage, gradOutput.Storage, gx.Storage);
                gradInputs[0] = gx;
            }
            else if (log)
            {
                gradInputs[0] = gradOutput - y.Exp() * gradOutput.Sum(-1, keepDims: true);
            }
            else
            {
                gradInputs[0] = y * (gradOutput - (y * gradOutput).Sum(-1, keepDims: true));
            }
        }
    }
}
