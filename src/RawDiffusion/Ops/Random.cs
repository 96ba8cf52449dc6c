using RawDiffusion.Backends;
using RawDiffusion.Ops;

namespace RawDiffusion
{
    public partial class Tensor
    {
        /// <summary>
        /// Uniform numbers in [low, high), multiples of (high - low) 2^-24 above low. Where float32 has no number between the largest of them
        /// and high, as in [10, 11), that one becomes high.
        /// </summary>
        public static Tensor Rand(Generator generator, Shape shape, double low = 0, double high = 1, Backend? device = null)
        {
            var y = Empty(shape, device);
            y.Device.Uniform(generator.Next(y.Count), low, high, y.Storage);
            return y;
        }

        /// <summary>Standard normals. The formulas of both methods are stated at <see cref="Backend.Normal"/>.</summary>
        public static Tensor Randn(
            Generator generator, Shape shape, Backend? device = null, NormalMethod method = NormalMethod.BoxMuller)
        {
            var y = Empty(shape, device);
            y.Device.Normal(method, generator.Next(y.Count), y.Storage);
            return y;
        }

        /// <summary>Int32 numbers in [low, high), each equally likely.</summary>
        /// <exception cref="ArgumentException">The interval is empty.</exception>
        public static Tensor RandInt(Generator generator, int low, int high, Shape shape, Backend? device = null)
        {
            if (low >= high)
                throw new ArgumentException($"randInt: there are no integers in [{low}, {high}).");
            var y = EmptyInt32(shape, device);
            y.Device.Integers(generator.Next(y.Count), low, high, y.Storage);
            return y;
        }
    }

    public static partial class F
    {
        /// <summary>
        /// In training, zeroes each element with probability <paramref name="p"/> and divides the others by 1 - p; otherwise x.
        /// The mask is not stored: the backward pass draws it again.
        /// </summary>
        public static Tensor Dropout(Tensor x, double p, Generator generator, bool training = true)
        {
            if (!(p >= 0 && p <= 1))
                throw new ArgumentOutOfRangeException(nameof(p), $"dropout: the probability must lie in [0, 1], not {p}.");
            return training && p > 0 ? new DropoutFunction(generator.Next(x.Count), p).Apply(x) : x;
        }
    }
}

namespace RawDiffusion.Ops
{
    /// <summary>Linear in x with a fixed mask, hence its own gradient.</summary>
    internal sealed class DropoutFunction(PhiloxState state, double p) : Function
    {
        public override string Name => "dropout";

        protected override ulong ReadsInputs => 0;

        protected override Tensor Forward(ReadOnlySpan<Tensor> inputs)
        {
            var x = inputs[0].ExpectFloat(Name);
            var y = Tensor.EmptyOf(x, x.Shape);
            x.Device.Dropout(state, p, x.Storage, y.Storage);
            return y;
        }

        protected internal override void Backward(Tensor gradOutput, Span<Tensor?> gradInputs) =>
            gradInputs[0] = new DropoutFunction(state, p).Apply(gradOutput);
    }
}
