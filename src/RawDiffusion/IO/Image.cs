namespace RawDiffusion.IO;

/// <summary>A picture in memory: eight bits each of red, green and blue.</summary>
public sealed class Image
{
    public const int Channels = 3;

    private readonly byte[] _pixels;

    /// <summary>A black picture.</summary>
    public Image(int width, int height)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        Width = width;
        Height = height;
        _pixels = new byte[checked(width * height * Channels)];
    }

    public int Width { get; }

    public int Height { get; }

    /// <summary>[Height, Width, 3], row-major from the top left.</summary>
    public Span<byte> Pixels => _pixels;

    /// <summary>Red, green and blue of one pixel.</summary>
    public Span<byte> this[int x, int y]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)x, (uint)Width, nameof(x));
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)y, (uint)Height, nameof(y));
            return _pixels.AsSpan((y * Width + x) * Channels, Channels);
        }
    }

    /// <summary>The picture as a PNG file: grey where every pixel is grey, else RGB.</summary>
    public byte[] EncodePng()
    {
        for (int i = 0; i < _pixels.Length; i += Channels)
        {
            if (_pixels[i] != _pixels[i + 1] || _pixels[i] != _pixels[i + 2])
                return Png.Encode(_pixels, Width, Height, PngColor.Rgb);
        }
        var grey = new byte[Width * Height];
        for (int i = 0; i < grey.Length; i++)
            grey[i] = _pixels[i * Channels];
        return Png.Encode(grey, Width, Height, PngColor.Grey);
    }

    /// <summary>Writes a PNG file, whole or not at all.</summary>
    public void Save(string path) => AtomicFile.Write(path, stream => stream.Write(EncodePng()));

    /// <summary>
    /// Lays images out in rows, first image at the top left. Values are mapped linearly from [low, high] to [0, 255], those
    /// outside are clamped, NaN becomes black.
    /// </summary>
    /// <param name="images">[N, H, W, C], C = 1 (grey) or 3.</param>
    /// <param name="columns">Images in a row; 0 makes about as many columns as rows.</param>
    /// <param name="low">The value that becomes 0: -1 for what a diffusion model makes, 0 for plain intensities.</param>
    /// <param name="high">The value that becomes 255.</param>
    /// <param name="padding">Pixels between images and around them, mid-grey.</param>
    /// <param name="scale">Side of the square of pixels that each pixel of an image becomes.</param>
    /// <exception cref="ArgumentException">The tensor is no batch of images, or it is empty.</exception>
    public static Image Grid(Tensor images, int columns = 0, double low = -1, double high = 1, int padding = 2, int scale = 1)
    {
        var shape = images.Shape;
        if (shape.Rank != 4 || shape.Count == 0 || shape[3] is not (1 or 3))
            throw new ArgumentException($"Image.Grid: expected images [N, H, W, C] with C = 1 or 3 and at least one pixel, got {shape}.");
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ArgumentOutOfRangeException.ThrowIfNegative(padding);
        ArgumentOutOfRangeException.ThrowIfLessThan(scale, 1);
        if (!(low < high))
            throw new ArgumentException($"Image.Grid: low {low} must be below high {high}.");

        int count = shape[0], height = shape[1], width = shape[2], channels = shape[3];
        if (columns == 0)
            columns = (int)Math.Ceiling(Math.Sqrt(count));
        columns = Math.Min(columns, count);
        int rows = (count + columns - 1) / columns;
        int cellWidth = width * scale + padding, cellHeight = height * scale + padding;
        var grid = new Image(checked(columns * cellWidth + padding), checked(rows * cellHeight + padding));
        const byte Background = 128;
        grid.Pixels.Fill(Background);

        float[] values = images.ToArray();
        double factor = 255 / (high - low);
        for (int n = 0; n < count; n++)
        {
            int left = padding + n % columns * cellWidth, top = padding + n / columns * cellHeight;
            for (int y = 0; y < height * scale; y++)
            {
                for (int x = 0; x < width * scale; x++)
                {
                    int source = ((n * height + y / scale) * width + x / scale) * channels;
                    var pixel = grid[left + x, top + y];
                    for (int c = 0; c < Channels; c++)
                        pixel[c] = ToByte((values[source + (channels == 1 ? 0 : c)] - low) * factor);
                }
            }
        }
        return grid;
    }

    private static byte ToByte(double value) => double.IsNaN(value) ? (byte)0 : (byte)Math.Round(Math.Clamp(value, 0, 255));
}
