using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    /// <summary>How a convolution's kernel moves over its image; padding is in zeros added on each side.</summary>
    public sealed record Conv2dOptions
    {
        public static readonly Conv2dOptions Default = new();

        public int StrideHeight { get; init; } = 1;

        public int StrideWidth { get; init; } = 1;

        public int PadTop { get; init; }

        public int PadBottom { get; init; }

        public int PadLeft { get; init; }

        public int PadRight { get; init; }

        /// <summary>Channels are cut into this many groups that do not see each other; the number of channels is depthwise.</summary>
        public int Groups { get; init; } = 1;

        /// <summary>The same stride along both axes.</summary>
        public int Stride { init => StrideHeight = StrideWidth = value; }

        /// <summary>The same padding on all four sides.</summary>
        public int Padding { init => PadTop = PadBottom = PadLeft = PadRight = value; }
    }

    public static partial class F
    {
        /// <summary>
        /// Cross-correlation of x[N, H, W, Cin] with weight[Cout, KH, KW, Cin / groups]: [N, Ho, Wo, Cout] with
        /// Ho = (H + 2 padding - KH) / stride + 1 rounded down, and Wo alike. What follows a convolution in a diffusion model is
        /// added in the same pass over the output, where given.
        /// </summary>
        /// <param name="bias">[Cout], added to every pixel.</param>
        /// <param name="sampleBias">[N, Cout], added to every pixel of its sample: an embedding of the time.</param>
        /// <param name="residual">[N, Ho, Wo, Cout], added element by element: the way around a block.</param>
        /// <param name="silu">Whether the result is silu of all that, as by <see cref="Silu"/> behind it, but read and written once (and rounded once, in bfloat16).</param>
        /// <remarks>With x in bfloat16 the weight may be float32: a rounded copy of it is multiplied, and its gradient is float32.</remarks>
        /// <exception cref="ArgumentException">The shapes or types do not fit each other, or the kernel is larger than the padded image.</exception>
        public static Tensor Conv2d(
            Tensor x, Tensor weight, Tensor? bias = null, int stride = 1, int padding = 0, int groups = 1,
            Tensor? sampleBias = null, Tensor? residual = null, bool silu = false)
        {
            var g = Convolution.Geometry(x, weight, stride, stride, padding, padding, padding, padding, groups);
            return Ops.Conv2d.Apply(g, x, weight, bias, sampleBias, residual, silu);
        }

        /// <inheritdoc cref="Conv2d(Tensor, Tensor, Tensor?, int, int, int, Tensor?, Tensor?, bool)"/>
        public static Tensor Conv2d(
            Tensor x, Tensor weight, Tensor? bias, Conv2dOptions options, Tensor? sampleBias = null, Tensor? residual = null, bool silu = false)
        {
            var g = Convolution.Geometry(
                x, weight, options.StrideHeight, options.StrideWidth,
                options.PadTop, options.PadBottom, options.PadLeft, options.PadRight, options.Groups);
            return Ops.Conv2d.Apply(g, x, weight, bias, sampleBias, residual, silu);
        }
    }
}

namespace RawDiffusion.Ops
{
    internal static class Convolution
    {
        private const string Name = "conv2d";

        public static Conv2dGeometry Geometry(
            Tensor x, Tensor w, int strideHeight, int strideWidth, int padTop, int padBottom, int padLeft, int padRight, int groups)
        {
            x.ExpectFloat(Name);
            w.ExpectFloat(Name);
            Tensor.ExpectSameDevice(Name, x, w);
            if (x.Rank != 4)
                throw new ArgumentException($"{Name}: images are [N, H, W, C], not {x.Shape}.");
            if (w.Rank != 4)
                throw new ArgumentException($"{Name}: a weight is [Cout, KH, KW, Cin / groups], not {w.Shape}.");
            if (Math.Min(strideHeight, strideWidth) < 1)
                throw new ArgumentOutOfRangeException(null, $"{Name}: a stride is at least 1, not ({strideHeight}, {strideWidth}).");
            if (Math.Min(Math.Min(padTop, padBottom), Math.Min(padLeft, padRight)) < 0)
            {
                throw new ArgumentOutOfRangeException(
                    null, $"{Name}: padding cannot be negative (top {padTop}, bottom {padBottom}, left {padLeft}, right {padRight}). Slice the image instead.");
            }
            if (groups < 1)
                throw new ArgumentOutOfRangeException(nameof(groups), $"{Name}: groups is at least 1, not {groups}.");
            int inChannels = x.Shape[3], outChannels = w.Shape[0], kernelHeight = w.Shape[1], kernelWidth = w.Shape[2];
            if (w.Count == 0)
                throw new ArgumentException($"{Name}: the weight {w.Shape} is empty; kernels and channels are at least 1.");
            if (inChannels != (long)w.Shape[3] * groups)
            {
                throw new ArgumentException(
                    $"{Name}: images {x.Shape} have {inChannels} channels, but the weight {w.Shape} [Cout, KH, KW, Cin / groups] with groups {groups} reads {(long)w.Shape[3] * groups}.");
            }
            if (outChannels % groups != 0)
                throw new ArgumentException($"{Name}: {outChannels} output channels of the weight {w.Shape} cannot be cut into {groups} groups.");
            if ((long)x.Shape[1] + padTop + padBottom < kernelHeight || (long)x.Shape[2] + padLeft + padRight < kernelWidth)
            {
                throw new ArgumentException(
                    $"{Name}: the kernel of the weight {w.Shape} is larger than the padded image {x.Shape} (top {padTop}, bottom {padBottom}, left {padLeft}, right {padRight}). Pad more.");
            }
            return new Conv2dGeometry(
                x.Shape[0], x.Shape[1], x.Shape[2], inChannels, outChannels, kernelHeight, kernelWidth,
                strideHeight, strideWidth, padTop, padBottom, padLeft, padRight, groups);
        }

        /// <summary>Throws unless an optional addend has the shape that the output asks for.</summary>
        public static void ExpectAddend(string what, Tensor? addend, Shape shape, Tensor x)
        {
            if (addend is null)
                return;
            addend.ExpectFloat(Name);
            Tensor.ExpectSameDevice(Name, x, addend);
            if (what != "bias")
                Tensor.ExpectSameType(Name, x, addend);
            if (addend.Shape != shape)
                throw new ArgumentException($"{Name}: the {what} is {addend.Shape}; images {x.Shape} with this weight need {shape}.");
        }

        public static Shape Images(in Conv2dGeometry g) => [g.Batch, g.Height, g.Width, g.InChannels];

        public static Shape Weight(in Conv2dGeometry g) => [g.OutChannels, g.KernelHeight, g.KernelWidth, g.InChannels / g.Groups];

        public static Shape Output(in Conv2dGeometry g) => [g.Batch, g.OutHeight, g.OutWidth, g.OutChannels];
    }

    // Convolution is linear in the image and in the weight, so its two gradients are linear in what they read, and the
    // gradients of the gradients are again one of the three: y(x, w), gx(gy, w), gw(x, gy) close under differentiation.

    /// <summary>Inputs x, w and whichever there are of bias, sampleBias and residual, whose positions are given (0: absent).</summary>
    internal sealed class Conv2d(Conv2dGeometry g, int bias, int sampleBias, int residual, bool silu) : Function
    {
        // What silu was taken of.
        private Tensor? _sums;

        public override string Name => "conv2d";

        // The sums that createGraph makes anew are those of all inputs.
        protected override ulong ReadsInputs => silu ? ulong.MaxValue : 0b011;

        /// <summary>Checks what is to be added and runs a new instance.</summary>
        public static Tensor Apply(in Conv2dGeometry g, Tensor x, Tensor w, Tensor? bias, Tensor? sampleBias, Tensor? residual, bool silu)
        {
            bias?.ExpectParameter("conv2d", "bias");
            Convolution.ExpectAddend("bias", bias, [g.OutChannels], x);
            Convolution.ExpectAddend("sampleBias", sampleBias, [g.Batch, g.OutChannels], x);
            Convolution.ExpectAddend("residual", residual, Convolution.Output(g), x);
            if (sampleBias is null && residual is null)
                return bias is null ? new Conv2d(g, 0, 0, 0, silu).Apply(x, w) : new Conv2d(g, 2, 0, 0, silu).Apply(x, w, bias);
            var inputs = new Tensor[5];
            int count = 0;
            int Add(Tensor? input)
            {
                if (input is null)
                    return 0;
                inputs[count] = input;
                return count++;
            }
            Add(x);
            Add(w);
            var function = new Conv2d(g, Add(bias), Add(sampleBias), Add(residual), silu);
            return function.Apply(inputs.AsSpan(0, count));
        }

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0];
            var y = Tensor.EmptyOf(x, Convolution.Output(g));
            if (silu && IsRecorded)
                _sums = Tensor.EmptyOf(x, y.Shape);
            var epilogue = new ConvEpilogue(
                bias > 0 ? inputs[bias].Storage : null,
                sampleBias > 0 ? inputs[sampleBias].Storage : null,
                residual > 0 ? inputs[residual].Storage : null,
                silu,
                _sums?.Storage);
            x.Device.Conv2d(g, x.Storage, inputs[1].StorageAs(x.DType), epilogue, y.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            if (silu)
            {
                // A gradient that is to be differentiated again needs sums that remember where they came from.
                var z = GradMode.IsEnabled ? new Conv2d(g, bias, sampleBias, residual, silu: false).Apply(Inputs) : _sums!;
                gradOutput = Elementwise.Binary<SiluGrad>(gradOutput, z);
            }
            if (NeedsGrad(0))
                gradInputs[0] = new Conv2dGradInput(g).Apply(gradOutput, Inputs[1]);
            if (NeedsGrad(1))
                gradInputs[1] = new Conv2dGradWeight(g, Inputs[1].DType).Apply(Inputs[0], gradOutput);
            var sums = gradOutput;
            if (sampleBias > 0 && NeedsGrad(sampleBias))
                sums = gradInputs[sampleBias] = gradOutput.Sum([1, 2]);
            if (bias > 0 && NeedsGrad(bias))
                gradInputs[bias] = sums.SumTo([g.OutChannels], Inputs[bias].DType);
            if (residual > 0 && NeedsGrad(residual))
                gradInputs[residual] = gradOutput;
        }
    }

    /// <summary>gx of a convolution from its inputs gy and w.</summary>
    internal sealed class Conv2dGradInput(Conv2dGeometry g) : Function
    {
        public override string Name => "conv2d gradInput";

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var gy = inputs[0];
            var gx = Tensor.EmptyOf(gy, Convolution.Images(g));
            gy.Device.Conv2dGradInput(g, gy.Storage, inputs[1].StorageAs(gy.DType), gx.Storage);
            return gx;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            if (NeedsGrad(0))
                gradInputs[0] = new Conv2d(g, 0, 0, 0, silu: false).Apply(gradOutput, Inputs[1]);
            if (NeedsGrad(1))
                gradInputs[1] = new Conv2dGradWeight(g, Inputs[1].DType).Apply(gradOutput, Inputs[0]);
        }
    }

    /// <summary>gw of a convolution from its inputs x and gy.</summary>
    /// <param name="type">Of the weight and so of its gradient.</param>
    internal sealed class Conv2dGradWeight(Conv2dGeometry g, DType type) : Function
    {
        public override string Name => "conv2d gradWeight";

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0];
            // Sums over all pixels of a batch are kept in the device's own type.
            var gw = Tensor.Empty(Convolution.Weight(g), x.Device);
            x.Device.Conv2dGradWeight(g, x.Storage, inputs[1].Storage, gw.Storage);
            return gw.To(type);
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            if (NeedsGrad(0))
                gradInputs[0] = new Conv2dGradInput(g).Apply(Inputs[1], gradOutput);
            if (NeedsGrad(1))
                gradInputs[1] = new Conv2d(g, 0, 0, 0, silu: false).Apply(Inputs[0], gradOutput);
        }
    }
}
