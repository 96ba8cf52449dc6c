using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Plots;

/// <summary>
/// A small rasteriser. Every shape is known by the distance of a pixel's centre to it, and a pixel is covered by
/// clamp(1/2 - distance): that is anti-aliasing. Strokes are collected in a mask first, so that where the parts of one line
/// overlap nothing is painted twice. Coordinates are in pixels, y downwards, pixel (0, 0) from 0 to 1.
/// </summary>
internal sealed class Canvas
{
    private readonly float[] _pixels;
    private readonly float[] _mask;
    private int _maskLeft, _maskTop, _maskRight, _maskBottom;

    public Canvas(int width, int height)
    {
        Width = width;
        Height = height;
        _pixels = new float[width * height * Image.Channels];
        _mask = new float[width * height];
        Array.Fill(_pixels, 255);
        ResetMask();
        Clip = (0, 0, width, height);
    }

    public int Width { get; }

    public int Height { get; }

    /// <summary>Nothing is painted outside this box.</summary>
    public (int Left, int Top, int Right, int Bottom) Clip { get; set; }

    public void FillRectangle(double left, double top, double right, double bottom, Color color, double alpha = 1)
    {
        for (int y = Math.Max(Clip.Top, (int)Math.Round(top)); y < Math.Min(Clip.Bottom, (int)Math.Round(bottom)); y++)
        {
            for (int x = Math.Max(Clip.Left, (int)Math.Round(left)); x < Math.Min(Clip.Right, (int)Math.Round(right)); x++)
                Blend(x, y, color, (float)alpha);
        }
    }

    public void FillDisc(double centreX, double centreY, double radius, Color color, double alpha = 1)
    {
        var (left, top, right, bottom) = Bounds(centreX - radius, centreY - radius, centreX + radius, centreY + radius);
        for (int y = top; y < bottom; y++)
        {
            for (int x = left; x < right; x++)
            {
                double dx = x + 0.5 - centreX, dy = y + 0.5 - centreY;
                double cover = radius + 0.5 - Math.Sqrt(dx * dx + dy * dy);
                if (cover > 0)
                    Blend(x, y, color, (float)(alpha * Math.Min(1, cover)));
            }
        }
    }

    /// <summary>Adds a segment with round ends to the mask.</summary>
    public void MaskSegment(double x0, double y0, double x1, double y1, double width)
    {
        double radius = width / 2, reach = radius + 0.5;
        double dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy;
        var (left, top, right, bottom) = Bounds(
            Math.Min(x0, x1) - radius, Math.Min(y0, y1) - radius, Math.Max(x0, x1) + radius, Math.Max(y0, y1) + radius);
        if (left >= right || top >= bottom)
            return;
        (_maskLeft, _maskTop) = (Math.Min(_maskLeft, left), Math.Min(_maskTop, top));
        (_maskRight, _maskBottom) = (Math.Max(_maskRight, right), Math.Max(_maskBottom, bottom));
        for (int y = top; y < bottom; y++)
        {
            double py = y + 0.5 - y0;
            for (int x = left; x < right; x++)
            {
                double px = x + 0.5 - x0;
                double along = square > 0 ? Math.Clamp((px * dx + py * dy) / square, 0, 1) : 0;
                double ex = px - along * dx, ey = py - along * dy, distance = ex * ex + ey * ey;
                if (distance >= reach * reach)
                    continue;
                float cover = (float)Math.Min(1, reach - Math.Sqrt(distance));
                ref float mask = ref _mask[y * Width + x];
                mask = Math.Max(mask, cover);
            }
        }
    }

    /// <summary>Paints what has been added to the mask and empties it.</summary>
    public void PaintMask(Color color, double alpha = 1)
    {
        for (int y = _maskTop; y < _maskBottom; y++)
        {
            for (int x = _maskLeft; x < _maskRight; x++)
            {
                ref float mask = ref _mask[y * Width + x];
                if (mask > 0)
                    Blend(x, y, color, mask * (float)alpha);
                mask = 0;
            }
        }
        ResetMask();
    }

    public void DrawLine(double x0, double y0, double x1, double y1, double width, Color color, double alpha = 1)
    {
        MaskSegment(x0, y0, x1, y1, width);
        PaintMask(color, alpha);
    }

    /// <summary>Share of the pixels of a box that are darker than the grid: how much has been drawn there.</summary>
    public double Occupancy(int left, int top, int right, int bottom)
    {
        (left, top, right, bottom) = (Math.Max(0, left), Math.Max(0, top), Math.Min(Width, right), Math.Min(Height, bottom));
        int dark = 0;
        for (int y = top; y < bottom; y++)
        {
            for (int x = left; x < right; x++)
            {
                int at = (y * Width + x) * Image.Channels;
                if (Math.Min(_pixels[at], Math.Min(_pixels[at + 1], _pixels[at + 2])) < Color.Grid.R - 1)
                    dark++;
            }
        }
        return (double)dark / Math.Max(1, (right - left) * (bottom - top));
    }

    public Image ToImage()
    {
        var image = new Image(Width, Height);
        for (int i = 0; i < _pixels.Length; i++)
            image.Pixels[i] = (byte)MathF.Round(_pixels[i]);
        return image;
    }

    private void Blend(int x, int y, Color color, float alpha)
    {
        int at = (y * Width + x) * Image.Channels;
        _pixels[at] += alpha * (color.R - _pixels[at]);
        _pixels[at + 1] += alpha * (color.G - _pixels[at + 1]);
        _pixels[at + 2] += alpha * (color.B - _pixels[at + 2]);
    }

    /// <summary>The pixels that a shape with these bounds can touch, inside the clip.</summary>
    private (int Left, int Top, int Right, int Bottom) Bounds(double left, double top, double right, double bottom)
    {
        return (
            (int)Math.Clamp(left - 0.5, Clip.Left, Clip.Right), (int)Math.Clamp(top - 0.5, Clip.Top, Clip.Bottom),
            (int)Math.Clamp(Math.Ceiling(right + 0.5), Clip.Left, Clip.Right), (int)Math.Clamp(Math.Ceiling(bottom + 0.5), Clip.Top, Clip.Bottom));
    }

    private void ResetMask() => (_maskLeft, _maskTop, _maskRight, _maskBottom) = (Width, Height, 0, 0);
}
