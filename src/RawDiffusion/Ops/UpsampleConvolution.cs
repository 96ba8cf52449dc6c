using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public static partial class F
    {
        /// <summary>
        /// Repeats every pixel of x[N, H, W, Cin] twice in both directions and convolves the result with weight[Cout, 3, 3, Cin], one
        /// pixel of padding, plus bias[Cout] where given: [N, 2 H, 2 W, Cout]. The large image is never made: an output pixel in an
        /// even row sees only two rows of x, one of them under two rows of the kernel, which are added instead; likewise for odd
        /// rows and for columns. So four kernels of 2 x 2, one for every parity, do the work of one of 3 x 3 on four times the
        /// pixels, with 2.25 times fewer multiplications.
        /// </summary>
        /// <exception cref="ArgumentException">The shapes do not fit each other.</exception>
        public static Tensor UpsampleConv2d(Tensor x, Tensor weight, Tensor? bias = null)
        {
            const string name = UpsampleConv2dFunction.OperationName;
            if (weight.Rank != 4 || weight.Shape[1] != 3 || weight.Shape[2] != 3)
                throw new ArgumentException($"{name}: a weight is [Cout, 3, 3, Cin], not {weight.Shape}.");
            // Checks x against the weight as the convolution of the large image would.
            Convolution.Geometry(x, weight, 1, 1, 1, 1, 1, 1, 1);
            int outputs = weight.Shape[0], inputs = weight.Shape[3];
            Convolution.ExpectAddend("bias", bias, [outputs], x);
            // Of every output channel, 16 sums of the 9 taps: [Cout, parity, place, Cin], then the parities first.
            var sums = Tensor.From(UpsampleConv2dFunction.Taps, [16, 9], x.Device).MatMul(weight.Reshape(outputs, 9, inputs));
            var kernels = sums.Reshape(outputs, 4, 4 * inputs).Permute(1, 0, 2).Reshape(4, outputs, 2, 2, inputs);
            return bias is null ? new UpsampleConv2dFunction().Apply(x, kernels) : new UpsampleConv2dFunction().Apply(x, kernels, bias);
        }
    }
}

namespace RawDiffusion.Ops
{
    /// <summary>Inputs x, the kernels [4, Cout, 2, 2, Cin] of the parities (row, column) 00, 01, 10, 11 and, optionally, the bias.</summary>
    internal sealed class UpsampleConv2dFunction : Function
    {
        public const string OperationName = "upsampleConv2d";

        private const int Parities = 4;

        public override string Name => OperationName;

        protected internal override bool SupportsCreateGraph => false;

        protected override ulong ReadsInputs => 0b011;

        /// <summary>
        /// Which of the nine taps are added for place (u, v) of the kernel of parity (a, b): 16 rows of 9 zeros and ones. In a row of
        /// parity 0 the first place has tap 0 and the second taps 1 and 2; with parity 1 the first has 0 and 1, the second 2.
        /// </summary>
        public static double[] Taps { get; } = MakeTaps();

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            Tensor x = inputs[0], kernels = inputs[1];
            int outputs = kernels.Shape[1];
            var y = Tensor.Empty([x.Shape[0], 2 * x.Shape[1], 2 * x.Shape[2], outputs], x.Device);
            var part = Tensor.Empty([x.Shape[0], x.Shape[1], x.Shape[2], outputs], x.Device);
            var epilogue = new ConvEpilogue(Bias: inputs.Length > 2 ? inputs[2].Storage : null);
            for (int parity = 0; parity < Parities; parity++)
            {
                x.Device.Conv2d(Geometry(x.Shape, outputs, parity), x.Storage, Kernel(kernels, kernels.Storage, parity), epilogue, part.Storage);
                MoveParity(parity, part, y, intoWhole: true);
            }
            part.Release();
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs)
        {
            Tensor x = Inputs[0], kernels = Inputs[1];
            var device = x.Device;
            int outputs = kernels.Shape[1];
            var part = Tensor.Empty([x.Shape[0], x.Shape[1], x.Shape[2], outputs], device);
            var gx = NeedsGrad(0) ? Tensor.Empty(x.Shape, device) : null;
            var gxPart = NeedsGrad(0) ? Tensor.Empty(x.Shape, device) : null;
            var gKernels = NeedsGrad(1) ? Tensor.Empty(kernels.Shape, device) : null;
            for (int parity = 0; parity < Parities; parity++)
            {
                var g = Geometry(x.Shape, outputs, parity);
                MoveParity(parity, part, gradOutput, intoWhole: false);
                if (gx is not null)
                {
                    device.Conv2dGradInput(g, part.Storage, Kernel(kernels, kernels.Storage, parity), parity == 0 ? gx.Storage : gxPart!.Storage);
                    if (parity > 0)
                        device.Accumulate(gxPart!.Storage, gx.Storage);
                }
                if (gKernels is not null)
                    device.Conv2dGradWeight(g, x.Storage, part.Storage, Kernel(kernels, gKernels.Storage, parity));
            }
            gradInputs[0] = gx;
            gradInputs[1] = gKernels;
            if (Inputs.Length > 2 && NeedsGrad(2))
                gradInputs[2] = gradOutput.SumTo(Inputs[2].Shape);
        }

        /// <summary>2 x 2 over the small image; parity 0 looks at the pixel before, parity 1 at the one after.</summary>
        private static Conv2dGeometry Geometry(Shape x, int outputs, int parity)
        {
            int row = parity / 2, column = parity % 2;
            return new Conv2dGeometry(x[0], x[1], x[2], x[3], outputs, 2, 2, 1, 1, 1 - row, row, 1 - column, column, 1);
        }

        private static Storage Kernel(Tensor kernels, Storage storage, int parity)
        {
            int size = kernels.Count / Parities;
            return storage.Slice(parity * size, size);
        }

        /// <summary>Copies an image to (or from) the rows and columns of one parity of the image of twice its size.</summary>
        private static void MoveParity(int parity, Tensor part, Tensor whole, bool intoWhole)
        {
            var s = part.Shape;
            Shape extent = [s[0] * s[1], 1, s[2], 1, s[3]], large = [s[0] * s[1], 2, s[2], 2, s[3]];
            ReadOnlySpan<int> start = [0, parity / 2, 0, parity % 2, 0], zero = [0, 0, 0, 0, 0];
            if (intoWhole)
                part.Device.CopyRegion(extent, zero, part.Storage, large, start, whole.Storage, extent);
            else
                part.Device.CopyRegion(large, start, whole.Storage, extent, zero, part.Storage, extent);
        }

        private static double[] MakeTaps()
        {
            var taps = new double[16 * 9];
            for (int parity = 0; parity < Parities; parity++)
            {
                for (int row = 0; row < 3; row++)
                {
                    for (int column = 0; column < 3; column++)
                        taps[(parity * 4 + Place(parity / 2, row) * 2 + Place(parity % 2, column)) * 9 + row * 3 + column] = 1;
                }
            }
            return taps;
        }

        /// <summary>Which of the two places a tap falls on.</summary>
        private static int Place(int parity, int tap) => tap > parity ? 1 : 0;
    }
}
