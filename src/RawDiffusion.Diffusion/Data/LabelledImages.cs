using System.Buffers;
using System.Runtime.CompilerServices;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;

namespace RawDiffusion.Diffusion.Data;

/// <summary>One image of a set, and how it is to be shown.</summary>
/// <param name="Down">Pixels by which it is moved down; what comes in at the border is byte 0.</param>
/// <param name="Right">Pixels by which it is moved to the right.</param>
/// <param name="Mirrored">Left and right exchanged, before it is moved.</param>
public readonly record struct ImagePick(int Index, int Down = 0, int Right = 0, bool Mirrored = false);

/// <summary>
/// A set of images of one size with a class each, held as bytes; batches become tensors when asked for. A GPU gets a copy of all images as
/// floats with the first batch, and gathers further ones from it: an index for each image is all that is sent.
/// </summary>
public sealed class LabelledImages
{
    /// <summary>Bytes of the largest copy that is made on a GPU; larger sets are sent batch by batch.</summary>
    private const long LargestCopy = 1L << 31;

    private readonly byte[] _pixels;
    private readonly byte[] _labels;
    private readonly ConditionalWeakTable<Backend, RowTable> _copies = [];

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
    /// <param name="picks">Which ones, in order, and how; any may repeat.</param>
    /// <returns>[n, Height, Width, Channels].</returns>
    public Tensor ImageTensor(ReadOnlySpan<ImagePick> picks, double low = -1, double high = 1, Backend? device = null)
    {
        var images = Tensor.Empty([picks.Length, Height, Width, Channels], device);
        FillImages(images, picks, low, high);
        return images;
    }

    /// <summary>Replaces the contents of a tensor by <see cref="ImageTensor(ReadOnlySpan{ImagePick}, double, double, Backend?)"/>.</summary>
    /// <param name="images">[n, Height, Width, Channels].</param>
    public void FillImages(Tensor images, ReadOnlySpan<ImagePick> picks, double low = -1, double high = 1)
    {
        if (images.Device is CudaBackend && (low, high) == (-1, 1) && ArePlain(picks) && sizeof(float) * (long)_pixels.Length <= LargestCopy)
            Gather(images, picks);
        else
            Make(images, picks, low, high);
    }

    private void Make(Tensor images, ReadOnlySpan<ImagePick> picks, double low, double high)
    {
        Span<float> table = stackalloc float[256];
        for (int value = 0; value < table.Length; value++)
            table[value] = (float)(low + (high - low) * value / 255);
        int size = Height * Width * Channels, count = checked(picks.Length * size);
        float[] buffer = ArrayPool<float>.Shared.Rent(count);
        for (int i = 0; i < picks.Length; i++)
            Draw(picks[i], table, buffer.AsSpan(i * size, size));
        images.CopyFrom(buffer.AsSpan(0, count));
        ArrayPool<float>.Shared.Return(buffer);
    }

    /// <summary>All images, in order.</summary>
    /// <inheritdoc cref="ImageTensor(ReadOnlySpan{ImagePick}, double, double, Backend?)"/>
    public Tensor ImageTensor(double low = -1, double high = 1, Backend? device = null) => ImageTensor(Range(0, Count), low, high, device);

    /// <summary>The classes of some images.</summary>
    /// <returns>[n], Int32.</returns>
    public Tensor LabelTensor(ReadOnlySpan<ImagePick> picks, Backend? device = null)
    {
        var labels = Tensor.EmptyInt32([picks.Length], device);
        FillLabels(labels, picks);
        return labels;
    }

    /// <summary>Replaces the contents of a tensor by <see cref="LabelTensor(ReadOnlySpan{ImagePick}, Backend?)"/>.</summary>
    /// <param name="labels">[n], Int32.</param>
    public void FillLabels(Tensor labels, ReadOnlySpan<ImagePick> picks)
    {
        int[] buffer = ArrayPool<int>.Shared.Rent(picks.Length);
        for (int i = 0; i < picks.Length; i++)
            buffer[i] = _labels[ExpectIndex(picks[i].Index)];
        labels.CopyFrom(buffer.AsSpan(0, picks.Length));
        ArrayPool<int>.Shared.Return(buffer);
    }

    /// <summary>The classes of all images, in order.</summary>
    /// <returns>[Count], Int32.</returns>
    public Tensor LabelTensor(Backend? device = null) => LabelTensor(Range(0, Count), device);

    /// <summary>Picks images start, start + 1, ... as they are.</summary>
    public static ImagePick[] Range(int start, int count)
    {
        var picks = new ImagePick[count];
        for (int i = 0; i < picks.Length; i++)
            picks[i] = new ImagePick(start + i);
        return picks;
    }

    private void Gather(Tensor images, ReadOnlySpan<ImagePick> picks)
    {
        if (!_copies.TryGetValue(images.Device, out var copy))
            copy = _copies.GetValue(images.Device, MakeCopy);
        int[] buffer = ArrayPool<int>.Shared.Rent(picks.Length);
        for (int i = 0; i < picks.Length; i++)
            buffer[i] = ExpectIndex(picks[i].Index);
        copy.CopyTo(images, buffer.AsSpan(0, picks.Length));
        ArrayPool<int>.Shared.Return(buffer);
    }

    /// <summary>All images on a device.</summary>
    private RowTable MakeCopy(Backend device)
    {
        var all = MemoryScope.KeepForever(Tensor.Empty([Count, Height, Width, Channels], device));
        Make(all, Range(0, Count), -1, 1);
        return new RowTable(all);
    }

    private static bool ArePlain(ReadOnlySpan<ImagePick> picks)
    {
        foreach (var pick in picks)
        {
            if (pick != new ImagePick(pick.Index))
                return false;
        }
        return true;
    }

    private void Draw(ImagePick pick, ReadOnlySpan<float> table, Span<float> target)
    {
        int row = Width * Channels, size = Height * row;
        var source = _pixels.AsSpan(ExpectIndex(pick.Index) * size, size);
        if (pick == new ImagePick(pick.Index))
        {
            for (int i = 0; i < source.Length; i++)
                target[i] = table[source[i]];
            return;
        }
        target.Fill(table[0]);
        int top = Math.Max(0, pick.Down), bottom = Math.Min(Height, Height + pick.Down);
        int left = Math.Max(0, pick.Right), right = Math.Min(Width, Width + pick.Right);
        for (int y = top; y < bottom; y++)
        {
            var from = source.Slice((y - pick.Down) * row, row);
            for (int x = left; x < right; x++)
            {
                int column = pick.Mirrored ? Width - 1 - (x - pick.Right) : x - pick.Right;
                for (int c = 0; c < Channels; c++)
                    target[y * row + x * Channels + c] = table[from[column * Channels + c]];
            }
        }
    }

    private int ExpectIndex(int index) => (uint)index < (uint)Count
        ? index
        : throw new ArgumentOutOfRangeException(nameof(index), $"There is no image {index} in a set of {Count}.");
}
