using System.Buffers;
using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Data;

/// <summary>A set of images of one size with a class each, held as bytes; batches become tensors when asked for.</summary>
public sealed class LabelledImages
{
    private readonly byte[] _pixels;
    private readonly byte[] _labels;

    /// <param name="pixels">[N, height, width, channels].</param>
    /// <param name="labels">[N], each below <paramref name="classes"/>.</param>
    /// <exception cref="ArgumentException">The numbers do not fit each other.</exception>
    public LabelledImages(byte[] pixels, byte[] labels, int height, int width, int channels, int classes)
    {
        if (pixels.LongLength != labels.LongLength * height * width * channels)
            throw new ArgumentException($"LabelledImages: {labels.Length} images of {height} x {width} x {channels} are not {pixels.Length} bytes.");
        if (labels.AsSpan().ContainsAnyExceptInRange((byte)0, (byte)(classes - 1)))
            throw new ArgumentException($"LabelledImages: there is a label {labels.Max()}, but there are {classes} classes.");
        _pixels = pixels;
        _labels = labels;
        Height = height;
        Width = width;
        Channels = channels;
        Classes = classes;
    }

    /// <summary>Number of images.</summary>
    public int Count => _labels.Length;

    public int Height { get; }

    public int Width { get; }

    public int Channels { get; }

    public int Classes { get; }

    /// <summary>[Count, Height, Width, Channels].</summary>
    public ReadOnlySpan<byte> Pixels => _pixels;

    /// <summary>[Count].</summary>
    public ReadOnlySpan<byte> Labels => _labels;

    /// <summary>Some images as floats, byte 0 becoming <paramref name="low"/> and 255 <paramref name="high"/>.</summary>
    /// <param name="indices">Which ones, in order; any may repeat.</param>
    /// <returns>[n, Height, Width, Channels].</returns>
    public Tensor ImageTensor(ReadOnlySpan<int> indices, double low = -1, double high = 1, Backend? device = null)
    {
        int size = Height * Width * Channels;
        Span<float> table = stackalloc float[256];
        for (int value = 0; value < table.Length; value++)
            table[value] = (float)(low + (high - low) * value / 255);
        int count = checked(indices.Length * size);
        float[] buffer = ArrayPool<float>.Shared.Rent(count);
        for (int i = 0; i < indices.Length; i++)
        {
            var source = _pixels.AsSpan(ExpectIndex(indices[i]) * size, size);
            var target = buffer.AsSpan(i * size, size);
            for (int j = 0; j < source.Length; j++)
                target[j] = table[source[j]];
        }
        var result = Tensor.From(buffer.AsSpan(0, count), [indices.Length, Height, Width, Channels], device);
        ArrayPool<float>.Shared.Return(buffer);
        return result;
    }

    /// <summary>All images, in order.</summary>
    /// <inheritdoc cref="ImageTensor(ReadOnlySpan{int}, double, double, Backend?)"/>
    public Tensor ImageTensor(double low = -1, double high = 1, Backend? device = null) => ImageTensor(All(), low, high, device);

    /// <summary>The classes of some images.</summary>
    /// <returns>[n], Int32.</returns>
    public Tensor LabelTensor(ReadOnlySpan<int> indices, Backend? device = null)
    {
        int[] buffer = ArrayPool<int>.Shared.Rent(indices.Length);
        for (int i = 0; i < indices.Length; i++)
            buffer[i] = _labels[ExpectIndex(indices[i])];
        var result = Tensor.From(buffer.AsSpan(0, indices.Length), [indices.Length], device);
        ArrayPool<int>.Shared.Return(buffer);
        return result;
    }

    /// <summary>The classes of all images, in order.</summary>
    /// <returns>[Count], Int32.</returns>
    public Tensor LabelTensor(Backend? device = null) => LabelTensor(All(), device);

    private int ExpectIndex(int index) => (uint)index < (uint)Count
        ? index
        : throw new ArgumentOutOfRangeException(nameof(index), $"There is no image {index} in a set of {Count}.");

    private int[] All()
    {
        var indices = new int[Count];
        for (int i = 0; i < indices.Length; i++)
            indices[i] = i;
        return indices;
    }
}
