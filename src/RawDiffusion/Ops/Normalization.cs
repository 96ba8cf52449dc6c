using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public static partial class F
    {
        /// <summary>
        /// Normalises x[N, ..., C] (channels last) to mean 0 and variance 1 over all positions and the channels of a group, one
        /// statistic per sample and group, then scales and shifts every channel. Source: Wu and He 2018, Group Normalization.
        /// </summary>
        /// <param name="groups">How many groups the channels are cut into; divides C.</param>
        /// <param name="weight">gamma[C], or null for ones.</param>
        /// <param name="bias">beta[C], or null for zeros.</param>
        /// <param name="eps">Added to the biased variance before the square root.</param>
        /// <exception cref="ArgumentException">A shape does not fit.</exception>
        public static Tensor GroupNorm(Tensor x, int groups, Tensor? weight = null, Tensor? bias = null, double eps = 1e-5) =>
            Normalize(x, groups, weight, bias, eps, silu: false, "groupNorm");

        /// <summary>SiLU of <see cref="GroupNorm"/> in the same passes over memory; only x is kept for the gradient.</summary>
        /// <inheritdoc cref="GroupNorm"/>
        public static Tensor GroupNormSilu(Tensor x, int groups, Tensor? weight = null, Tensor? bias = null, double eps = 1e-5) =>
            Normalize(x, groups, weight, bias, eps, silu: true, "groupNormSilu");

        /// <summary>
        /// Normalises every row of x[..., C] to mean 0 and variance 1, then scales and shifts every column. Source: Ba, Kiros and
        /// Hinton 2016, Layer Normalization.
        /// </summary>
        /// <param name="weight">gamma[C], or null for ones.</param>
        /// <param name="bias">beta[C], or null for zeros.</param>
        /// <param name="eps">Added to the biased variance before the square root.</param>
        /// <exception cref="ArgumentException">A shape does not fit.</exception>
        public static Tensor LayerNorm(Tensor x, Tensor? weight = null, Tensor? bias = null, double eps = 1e-5)
        {
            const string name = "layerNorm";
            x.ExpectFloat(name);
            if (x.Rank < 1)
                throw new ArgumentException($"{name}: x is a scalar; it needs at least one axis to normalise over.");
            ExpectEpsilon(name, eps);
            int columns = x.Shape[-1];
            return new LayerNorm(eps).Apply(
                x, AffineOrDefault(name, x, weight, "weight", columns, 1), AffineOrDefault(name, x, bias, "bias", columns, 0));
        }

        private static Tensor Normalize(
            Tensor x, int groups, Tensor? weight, Tensor? bias, double eps, bool silu, string name)
        {
            x.ExpectFloat(name);
            if (x.Rank < 2)
                throw new ArgumentException($"{name}: x has shape {x.Shape}; it must be [N, ..., C], samples first and channels last.");
            ExpectEpsilon(name, eps);
            int channels = x.Shape[-1];
            if (groups < 1 || channels % groups != 0)
                throw new ArgumentException($"{name}: {channels} channels of x {x.Shape} cannot be cut into {groups} groups of equal size.");
            return new GroupNorm(groups, eps, silu).Apply(
                x, AffineOrDefault(name, x, weight, "weight", channels, 1), AffineOrDefault(name, x, bias, "bias", channels, 0));
        }

        private static Tensor AffineOrDefault(string name, Tensor x, Tensor? values, string role, int channels, double otherwise)
        {
            if (values is null)
                return Tensor.Full([channels], otherwise, x.Device);
            values.ExpectParameter(name, role);
            Tensor.ExpectSameDevice(name, x, values);
            if (values.Rank != 1 || values.Shape[0] != channels)
                throw new ArgumentException($"{name}: {role} has shape {values.Shape}; for x {x.Shape} it must be [{channels}].");
            return values;
        }

        private static void ExpectEpsilon(string name, double eps)
        {
            if (!(eps >= 0))
                throw new ArgumentException($"{name}: eps is {eps}; it must not be negative.");
        }
    }
}

namespace RawDiffusion.Ops
{
    internal sealed class GroupNorm(int groups, double epsilon, bool silu) : Function
    {
        private Tensor? _mean;
        private Tensor? _rstd;

        public override string Name => silu ? "groupNormSilu" : "groupNorm";

        protected internal override bool SupportsCreateGraph => false;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor x = inputs[0], gamma = inputs[1], beta = inputs[2];
            var g = Geometry(x.Shape);
            var y = Tensor.EmptyOf(x, x.Shape);
            _mean = Tensor.Empty([g.Batch, g.Groups], x.Device);
            _rstd = Tensor.Empty([g.Batch, g.Groups], x.Device);
            x.Device.GroupNorm(g, silu, x.Storage, gamma.Storage, beta.Storage, y.Storage, _mean.Storage, _rstd.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            Tensor x = Inputs[0], gamma = Inputs[1], beta = Inputs[2];
            var gx = Tensor.EmptyOf(x, x.Shape);
            var gGamma = Tensor.Empty(gamma.Shape, x.Device);
            var gBeta = Tensor.Empty(beta.Shape, x.Device);
            x.Device.GroupNormGrad(
                Geometry(x.Shape), silu, x.Storage, gamma.Storage, beta.Storage, _mean!.Storage, _rstd!.Storage, gradOutput.Storage,
                gx.Storage, gGamma.Storage, gBeta.Storage);
            if (NeedsGrad(0))
                gradInputs[0] = gx;
            if (NeedsGrad(1))
                gradInputs[1] = gGamma;
            if (NeedsGrad(2))
                gradInputs[2] = gBeta;
        }

        private GroupNormGeometry Geometry(Shape x) => new(x[0], x.Product(1, x.Rank - 1), x[-1], groups, epsilon);
    }

    internal sealed class LayerNorm(double epsilon) : Function
    {
        private Tensor? _mean;
        private Tensor? _rstd;

        public override string Name => "layerNorm";

        protected internal override bool SupportsCreateGraph => false;

        // The derivative does not read beta.
        protected override ulong ReadsInputs => 0b011;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor x = inputs[0], gamma = inputs[1], beta = inputs[2];
            var g = Geometry(x.Shape);
            var y = Tensor.EmptyOf(x, x.Shape);
            _mean = Tensor.Empty([g.Rows], x.Device);
            _rstd = Tensor.Empty([g.Rows], x.Device);
            x.Device.LayerNorm(g, x.Storage, gamma.Storage, beta.Storage, y.Storage, _mean.Storage, _rstd.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            Tensor x = Inputs[0], gamma = Inputs[1];
            var gx = Tensor.EmptyOf(x, x.Shape);
            var gGamma = Tensor.Empty(gamma.Shape, x.Device);
            var gBeta = Tensor.Empty(gamma.Shape, x.Device);
            x.Device.LayerNormGrad(
                Geometry(x.Shape), x.Storage, gamma.Storage, _mean!.Storage, _rstd!.Storage, gradOutput.Storage,
                gx.Storage, gGamma.Storage, gBeta.Storage);
            if (NeedsGrad(0))
                gradInputs[0] = gx;
            if (NeedsGrad(1))
                gradInputs[1] = gGamma;
            if (NeedsGrad(2))
                gradInputs[2] = gBeta;
        }

        private LayerNormGeometry Geometry(Shape x) => new(x.Product(0, x.Rank - 1), x[-1], epsilon);
    }
}
