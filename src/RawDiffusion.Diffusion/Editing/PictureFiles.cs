using RawDiffusion.Backends;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Editing;

/// <summary>Images and masks from PNG files, of the size that a model works in.</summary>
public static class PictureFiles
{
    private const int Half = 128;

    /// <summary>Reads an image; black becomes -1 and white 1. What is not opaque is laid on white.</summary>
    /// <param name="shape">[height, width, channels] of a sample, with 1 channel (grey) or 3.</param>
    /// <returns>[1, height, width, channels].</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">It is no PNG that can be read, of another size, or in colour where samples are grey.</exception>
    public static Tensor LoadImage(string path, Shape shape, Backend? device = null)
    {
        var image = Image.Load(path);
        ExpectSize(path, image.Width, image.Height, shape);
        int channels = shape[2];
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++)
        {
            var pixel = image.Pixels.Slice(i / channels * Image.Channels, Image.Channels);
            if (channels == 1 && (pixel[0] != pixel[1] || pixel[0] != pixel[2]))
                throw new FileFormatException(path, "it is in colour, and the samples of this model are grey");
            values[i] = pixel[i % channels] / 127.5f - 1;
        }
        return Tensor.From(values, [1, .. shape.ToArray()], device);
    }

    /// <summary>
    /// Reads a mask: light pixels are known and dark ones are to be filled in, from the middle of grey on; so is what is more than half
    /// transparent.
    /// </summary>
    /// <param name="shape">[height, width, channels] of a sample.</param>
    /// <returns>[height, width, 1], 1 where an image is known.</returns>
    /// <inheritdoc cref="LoadImage"/>
    public static Tensor LoadMask(string path, Shape shape, Backend? device = null)
    {
        var picture = Png.Load(path);
        ExpectSize(path, picture.Width, picture.Height, shape);
        int bytes = (int)picture.Color, colors = picture.Color is PngColor.Grey or PngColor.GreyAlpha ? 1 : 3;
        var mask = new float[picture.Width * picture.Height];
        for (int i = 0; i < mask.Length; i++)
        {
            var pixel = picture.Pixels.AsSpan(i * bytes, bytes);
            int light = 0;
            foreach (byte color in pixel[..colors])
                light += color;
            bool opaque = bytes == colors || pixel[^1] >= Half;
            mask[i] = opaque && light >= Half * colors ? 1 : 0;
        }
        return Tensor.From(mask, [picture.Height, picture.Width, 1], device);
    }

    private static void ExpectSize(string path, int width, int height, Shape shape)
    {
        if (width != shape[1] || height != shape[0])
            throw new FileFormatException(path, $"it is {width} x {height} pixels, and the samples of this model are {shape[1]} x {shape[0]}");
    }
}
