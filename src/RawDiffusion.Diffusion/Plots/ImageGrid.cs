using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Plots;

/// <summary>Lays a batch of images out in rows, first image at the top left, to be looked at as one picture.</summary>
public sealed class ImageGrid
{
    private const byte Gap = 128;
    private const double CaptionSize = 12;

    /// <summary>Images in a row; 0 makes about as many columns as rows.</summary>
    public int Columns { get; init; }

    /// <summary>Side of the square of pixels that each pixel of an image becomes, so that small images are seen.</summary>
    public int Zoom { get; init; } = 1;

    /// <summary>Pixels between images and around them, mid-grey.</summary>
    public int Padding { get; init; } = 2;

    /// <summary>
    /// The values that become black and white: -1 and 1 for what a diffusion model makes, 0 and 1 for plain intensities. Between
    /// them the map is linear; what lies outside is clamped, and NaN becomes black.
    /// </summary>
    public (double Low, double High) Range { get; init; } = (-1, 1);

    /// <summary>A line of text below each image, in their order, cut off where it is wider than the image; null for none.</summary>
    public IReadOnlyList<string>? Captions { get; init; }

    /// <summary>Draws the grid.</summary>
    /// <param name="images">[N, H, W, C], C = 1 (grey) or 3.</param>
    /// <exception cref="ArgumentException">The tensor is no batch of images or empty, or a property does not fit it.</exception>
    public Image Render(Tensor images)
    {
        var shape = images.Shape;
        if (shape.Rank != 4 || shape.Count == 0 || shape[3] is not (1 or 3))
            throw new ArgumentException($"ImageGrid: expected images [N, H, W, C] with C = 1 or 3 and at least one pixel, got {shape}.");
        int count = shape[0];
        Check(count);
        int columns = Columns == 0 ? (int)Math.Ceiling(Math.Sqrt(count)) : Math.Min(Columns, count);
        int rows = (count + columns - 1) / columns;
        int captionHeight = Captions is null ? 0 : (int)Math.Ceiling(1.25 * CaptionSize);
        var cell = new Cell(
            checked(shape[2] * Zoom + Padding), checked(shape[1] * Zoom + Padding + captionHeight), shape[2] * Zoom, shape[1] * Zoom);
        int width = checked(columns * cell.StepX + Padding), height = checked(rows * cell.StepY + Padding);
        var grid = Captions is null ? new Image(width, height) : DrawCaptions(width, height, columns, cell);
        if (Captions is null)
            grid.Pixels.Fill(Gap);

        float[] values = images.ToArray();
        int size = shape[1] * shape[2] * shape[3];
        for (int n = 0; n < count; n++)
        {
            int left = Padding + n % columns * cell.StepX, top = Padding + n / columns * cell.StepY;
            DrawImage(values.AsSpan(n * size, size), shape[2], shape[3], grid, left, top, cell);
        }
        return grid;
    }

    /// <summary>Draws the grid into a PNG file, whole or not at all.</summary>
    /// <inheritdoc cref="Render(Tensor)"/>
    public void Save(Tensor images, string path) => Render(images).Save(path);

    /// <summary>Extents in pixels: from one image to the next, and of the image itself.</summary>
    private readonly record struct Cell(int StepX, int StepY, int Width, int Height);

    private void Check(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(Columns);
        ArgumentOutOfRangeException.ThrowIfNegative(Padding);
        ArgumentOutOfRangeException.ThrowIfLessThan(Zoom, 1);
        if (!(Range.Low < Range.High))
            throw new ArgumentException($"ImageGrid: the range's low end {Range.Low} must be below its high end {Range.High}.");
        if (Captions is not null && Captions.Count != count)
            throw new ArgumentException($"ImageGrid: there are {Captions.Count} captions for {count} images.");
    }

    private Image DrawCaptions(int width, int height, int columns, Cell cell)
    {
        var canvas = new Canvas(width, height);
        canvas.FillRectangle(0, 0, width, height, new Color(Gap, Gap, Gap));
        for (int n = 0; n < Captions!.Count; n++)
        {
            int left = Padding + n % columns * cell.StepX, top = Padding + n / columns * cell.StepY + cell.Height;
            canvas.Clip = (left, top, left + cell.Width, Math.Min(height, top + cell.StepY - cell.Height));
            StrokeFont.Draw(canvas, Captions[n], left + cell.Width / 2.0, top + 1.05 * CaptionSize, CaptionSize, Color.White, anchor: 0.5);
        }
        return canvas.ToImage();
    }

    private void DrawImage(ReadOnlySpan<float> values, int width, int channels, Image grid, int left, int top, Cell cell)
    {
        double factor = 255 / (Range.High - Range.Low);
        for (int y = 0; y < cell.Height; y++)
        {
            var source = values.Slice(y / Zoom * width * channels, width * channels);
            var target = grid.Pixels.Slice(((top + y) * grid.Width + left) * Image.Channels, cell.Width * Image.Channels);
            if (y % Zoom > 0)
            {
                grid.Pixels.Slice(((top + y - 1) * grid.Width + left) * Image.Channels, target.Length).CopyTo(target);
                continue;
            }
            for (int x = 0; x < cell.Width; x++)
            {
                for (int c = 0; c < Image.Channels; c++)
                    target[x * Image.Channels + c] = ToByte((source[x / Zoom * channels + c % channels] - Range.Low) * factor);
            }
        }
    }

    private static byte ToByte(double value) => double.IsNaN(value) ? (byte)0 : (byte)Math.Round(Math.Clamp(value, 0, 255));
}
