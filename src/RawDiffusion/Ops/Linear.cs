using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public static partial class F
    {
        /// <summary>y = x W^T + bias: x[..., in], weight[out, in], bias[out] gives y[..., out].</summary>
        /// <remarks>With x in bfloat16 the weight may be float32: a rounded copy of it is multiplied, and its gradient is float32.</remarks>
        /// <exception cref="ArgumentException">The shapes or types do not fit, integers, or two devices.</exception>
        public static Tensor Linear(Tensor x, Tensor weight, Tensor? bias = null)
        {
            LinearFunction.Check(x, weight, bias);
            return bias is null ? new LinearFunction().Apply(x, weight) : new LinearFunction().Apply(x, weight, bias);
        }
    }
}

namespace RawDiffusion.Ops
{
    /// <summary>Inputs x, weight and, optionally, the bias.</summary>
    internal sealed class LinearFunction : Function
    {
        private const string OperationName = "linear";

        public override string Name => OperationName;

        protected override ulong ReadsInputs => 0b011;

        public static void Check(Tensor x, Tensor weight, Tensor? bias)
        {
            x.ExpectFloat(OperationName);
            weight.ExpectFloat(OperationName);
            Tensor.ExpectSameDevice(OperationName, x, weight);
            if (weight.Rank != 2)
                throw new ArgumentException($"{OperationName}: a weight is [out, in], not {weight.Shape}.");
            if (x.Rank == 0 || x.Shape[-1] != weight.Shape[1])
                throw new ArgumentException($"{OperationName}: the last axis of x {x.Shape} must have the {weight.Shape[1]} features that the weight {weight.Shape} [out, in] reads.");
            if (bias is null)
                return;
            bias.ExpectParameter(OperationName, "bias");
            Tensor.ExpectSameDevice(OperationName, x, bias);
            if (bias.Rank != 1 || bias.Count != weight.Shape[0])
                throw new ArgumentException($"{OperationName}: the bias is {bias.Shape}; the weight {weight.Shape} has {weight.Shape[0]} outputs.");
        }

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor x = inputs[0], w = inputs[1];
            int rows = x.Shape.Product(0, x.Rank - 1), features = w.Shape[1], outputs = w.Shape[0];
            var y = Tensor.EmptyOf(x, x.Shape.With(-1, outputs));
            var g = new MatMulGeometry(1, rows, outputs, features, false, true, 0, 0);
            x.Device.MatMul(g, x.Storage, w.StorageAs(x.DType), inputs.Length > 2 ? inputs[2].Storage : null, y.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            Tensor x = Inputs[0], w = Inputs[1];
            int rows = x.Shape.Product(0, x.Rank - 1), features = w.Shape[1], outputs = w.Shape[0];
            if (GradMode.IsEnabled)
            {
                var gy = gradOutput.Reshape(new Shape(rows, outputs));
                if (NeedsGrad(0))
                    gradInputs[0] = gy.MatMul(w.To(x.DType)).Reshape(x.Shape);
                if (NeedsGrad(1))
                    gradInputs[1] = gy.MatMul(x.Reshape(new Shape(rows, features)), transposeA: true).To(w.DType);
                if (Inputs.Length > 2 && NeedsGrad(2))
                    gradInputs[2] = gy.SumTo(Inputs[2].Shape, Inputs[2].DType);
                return;
            }
            var device = x.Device;
            if (NeedsGrad(0))
            {
                var gx = gradInputs[0] = Tensor.EmptyOf(x, x.Shape);
                device.MatMul(new MatMulGeometry(1, rows, features, outputs, false, false, 0, 0), gradOutput.Storage, w.StorageAs(x.DType), null, gx.Storage);
            }
            if (NeedsGrad(1))
            {
                var gw = gradInputs[1] = Tensor.EmptyOf(w, w.Shape);
                device.MatMul(new MatMulGeometry(1, outputs, features, rows, true, false, 0, 0), gradOutput.Storage, x.Storage, null, gw.Storage);
            }
            if (Inputs.Length > 2 && NeedsGrad(2))
            {
                var gb = gradInputs[2] = Tensor.EmptyOf(Inputs[2], Inputs[2].Shape);
                device.Reduce(ReduceOp.Sum, new ReduceGeometry(1, rows, outputs), gradOutput.Storage, gb.Storage);
            }
        }
    }
}
