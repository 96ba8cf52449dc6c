using System.Buffers;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Diffusion.Data.Digits;

namespace RawDiffusion.Diffusion.Data;

/// <summary>
/// Digits as if written by hand, 28 x 28, each drawn when it is asked for: one of several shapes for each digit, its knots
/// moved a little, at a random size, place, slant and rotation, with a pen of random width. Every sample is a function of the seed and
/// its number. For whoever has no data at hand: it needs no file, has no end, and says of each image how it was made.
/// </summary>
/// <remarks>
/// Labels are the digit, and in <see cref="Batch.Attributes"/> the digit, the colour (of coloured digits only) and the style: regular,
/// bold, italic or outlined. All are equally likely and independent of each other.
/// </remarks>
public sealed class DigitData : ITrainingData
{
    private const ulong TrainingStream = 0x444947495453, HeldOutStream = 0x5445535453;

    // Blocks of four random numbers set aside for a sample: 13 numbers for its traits and 2 for each of up to 11 knots.
    private const ulong BlocksPerSample = 16;

    private static readonly LabelKind s_colors = new("colour", [.. DigitColors.All.Select(color => color.Name)]);
    private static readonly LabelKind s_styles = new("style", ["regular", "bold", "italic", "outlined"]);

    private readonly ulong _stream;

    /// <param name="colored">Whether digits have colours, on black, [28, 28, 3]; otherwise they are white on black, [28, 28, 1].</param>
    public DigitData(bool colored)
        : this(colored, TrainingStream) =>
        HeldOut = new DigitData(colored, HeldOutStream);

    private DigitData(bool colored, ulong stream)
    {
        IsColored = colored;
        LabelKinds = colored ? [Mnist.Digit, s_colors, s_styles] : [Mnist.Digit, s_styles];
        _stream = stream;
        HeldOut = this;
    }

    public bool IsColored { get; }

    /// <inheritdoc/>
    public string Name => IsColored ? "colour-digits" : "digits";

    /// <inheritdoc/>
    public Shape SampleShape => [DigitPen.Side, DigitPen.Side, IsColored ? 3 : 1];

    /// <inheritdoc/>
    public IReadOnlyList<LabelKind> LabelKinds { get; }

    /// <inheritdoc/>
    public int? Count => null;

    /// <inheritdoc/>
    public ITrainingData HeldOut { get; }

    /// <inheritdoc/>
    public void Fill(Batch batch, long first, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        int count = batch.X.Shape[0], kinds = LabelKinds.Count, size = SampleShape.Prepend(count).Count;
        float[] pixels = ArrayPool<float>.Shared.Rent(size);
        int[] attributes = ArrayPool<int>.Shared.Rent(kinds * count), digits = ArrayPool<int>.Shared.Rent(count);
        var state = new PhiloxState(seed, _stream, BlocksPerSample * (ulong)first);
        Workers.For(count, new DrawBody(IsColored, state, pixels, attributes));
        for (int i = 0; i < count; i++)
            digits[i] = attributes[kinds * i];
        batch.X.CopyFrom(pixels.AsSpan(0, size));
        batch.Labels?.CopyFrom(digits.AsSpan(0, count));
        batch.Attributes?.CopyFrom(attributes.AsSpan(0, kinds * count));
        ArrayPool<float>.Shared.Return(pixels);
        ArrayPool<int>.Shared.Return(attributes);
        ArrayPool<int>.Shared.Return(digits);
    }

    private readonly struct DrawBody(bool colored, PhiloxState state, float[] pixels, int[] attributes) : IParallelBody
    {
        public void Run(int index, int worker)
        {
            const int Size = DigitPen.Side * DigitPen.Side;
            var random = new RandomReader(state, BlocksPerSample * (ulong)index);
            var traits = new DigitTraits(ref random);
            Span<float> ink = stackalloc float[Size];
            DigitPen.Draw(traits, ref random, ink);
            if (colored)
            {
                (attributes[3 * index], attributes[3 * index + 1], attributes[3 * index + 2]) = (traits.Digit, traits.Color, (int)traits.Style);
                var (_, red, green, blue) = DigitColors.All[traits.Color];
                var target = pixels.AsSpan(3 * Size * index, 3 * Size);
                for (int i = 0; i < ink.Length; i++)
                {
                    float scaled = ink[i] * (2f / 255);
                    target[3 * i] = scaled * red - 1;
                    target[3 * i + 1] = scaled * green - 1;
                    target[3 * i + 2] = scaled * blue - 1;
                }
            }
            else
            {
                (attributes[2 * index], attributes[2 * index + 1]) = (traits.Digit, (int)traits.Style);
                var target = pixels.AsSpan(Size * index, Size);
                for (int i = 0; i < ink.Length; i++)
                    target[i] = 2 * ink[i] - 1;
            }
        }
    }
}
