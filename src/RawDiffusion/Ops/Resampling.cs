using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public static partial class F
    {
        /// <summary>Repeats every pixel of x[n, h, w, c] <paramref name="factor"/> times in both directions: [n, h factor, w factor, c].</summary>
        public static Tensor UpsampleNearest(Tensor x, int factor)
        {
            CheckImage("upsampleNearest", x, factor);
            return new UpsampleNearestFunction(factor).Apply(x);
        }

        /// <summary>
        /// Means over windows of x[n, h, w, c], side by side (stride = window): [n, h / window, w / window, c]. Rows and columns
        /// beyond whole windows are ignored.
        /// </summary>
        public static Tensor AvgPool2d(Tensor x, int window)
        {
            CheckImage("avgPool2d", x, window);
            if (x.Shape[1] < window || x.Shape[2] < window)
                throw new ArgumentException($"avgPool2d: a window of {window} does not fit into {x.Shape} (batch, height, width, channels).");
            return new PoolSumFunction("avgPool2d", window, 1.0 / ((double)window * window)).Apply(x);
        }

        private static void CheckImage(string operation, Tensor x, int factor)
        {
            if (x.Rank != 4)
                throw new ArgumentException($"{operation}: expected [batch, height, width, channels], got {x.Shape}.");
            if (factor < 1)
                throw new ArgumentOutOfRangeException(nameof(factor), $"{operation}: the factor must be at least 1, not {factor}.");
        }
    }
}

namespace RawDiffusion.Ops
{
    // Upsampling and summing over windows are each other's derivatives, so both can be differentiated any number of times.

    internal sealed class UpsampleNearestFunction(int factor) : Function
    {
        public override string Name => "upsampleNearest";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0].ExpectFloat(Name);
            var y = Tensor.EmptyOf(x, new Shape(x.Shape[0], checked(x.Shape[1] * factor), checked(x.Shape[2] * factor), x.Shape[3]));
            x.Device.UpsampleNearest(Geometry(x.Shape, factor), x.Storage, y.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = new PoolSumFunction("upsampleNearest gradient", factor, 1).Apply(gradOutput);

        internal static ResampleGeometry Geometry(Shape image, int factor) => new(image[0], image[1], image[2], image[3], factor, factor);
    }

    internal sealed class PoolSumFunction(string name, int window, double scale) : Function
    {
        public override string Name => name;

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0].ExpectFloat(Name);
            var y = Tensor.EmptyOf(x, new Shape(x.Shape[0], x.Shape[1] / window, x.Shape[2] / window, x.Shape[3]));
            x.Device.PoolSum(UpsampleNearestFunction.Geometry(x.Shape, window), scale, x.Storage, y.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = new PoolSumGradFunction(name, window, scale, Inputs[0].Shape).Apply(gradOutput);
    }

    internal sealed class PoolSumGradFunction(string name, int window, double scale, Shape shape) : Function
    {
        public override string Name => name + " gradient";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var gy = inputs[0];
            var gx = Tensor.EmptyOf(gy, shape);
            gy.Device.PoolSumGrad(UpsampleNearestFunction.Geometry(shape, window), scale, gy.Storage, gx.Storage);
            return gx;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = new PoolSumFunction(name, window, scale).Apply(gradOutput);
    }
}
