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

    /// <summary>Reads a PNG file. Grey becomes equal red, green and blue; what is not opaque is laid on white.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">See <see cref="Png.Decode"/>.</exception>
    public static Image Load(string path)
    {
        var picture = Png.Load(path);
        var image = new Image(picture.Width, picture.Height);
        int channels = (int)picture.Color;
        bool isGrey = picture.Color is PngColor.Grey or PngColor.GreyAlpha, hasAlpha = picture.Color is PngColor.GreyAlpha or PngColor.Rgba;
        for (int i = 0; i < image._pixels.Length; i++)
        {
            var pixel = picture.Pixels.AsSpan(i / Channels * channels, channels);
            int value = pixel[isGrey ? 0 : i % Channels], alpha = hasAlpha ? pixel[^1] : 255;
            image._pixels[i] = (byte)((value * alpha + 255 * (255 - alpha) + 127) / 255);
        }
        return image;
    }

    /// <summary>Writes a PNG file, whole or not at all.</summary>
    public void Save(string path) => AtomicFile.Write(path, stream => stream.Write(EncodePng()));
}
