using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data.Digits;

namespace RawDiffusion.Diffusion.Editing;

/// <summary>
/// Masks to learn inpainting from, as varied as what will be asked (Saharia et al. 2022, Palette, section 4.2): an unknown half, an unknown
/// box, a box that alone is known, and unknown strokes of a thick brush, each as often as the others.
/// </summary>
public static class RandomMasks
{
    /// <summary>Random numbers set aside for one mask, in blocks of four.</summary>
    private const int Blocks = 16;

    private const int MostStrokes = 3, MostPoints = 5;

    /// <summary>Draws masks; mask i is made from blocks of its own, so that however they are cut into batches they are the same.</summary>
    /// <returns>[count, height, width, 1], 1 where an image is known.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A negative number, or images of less than 4 pixels a side.</exception>
    public static Tensor Draw(int count, int height, int width, Generator generator, Backend? device = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 4);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 4);
        var state = new PhiloxState(generator.Seed, generator.Stream, generator.Offset);
        generator.Offset += (ulong)count * Blocks;
        var masks = new float[count * height * width];
        for (int i = 0; i < count; i++)
            Draw(new RandomReader(state, (ulong)i * Blocks), masks.AsSpan(i * height * width, height * width), height, width);
        return Tensor.From(masks, [count, height, width, 1], device);
    }

    /// <summary>How far the random numbers of a generator are used after so many masks.</summary>
    internal static ulong Offset(long masks) => (ulong)masks * Blocks;

    private static void Draw(RandomReader random, Span<float> mask, int height, int width)
    {
        switch (random.Below(4))
        {
            case 0:
                mask.Fill(1);
                int side = random.Below(4);
                var (top, bottom) = side switch { 0 => (0, height / 2), 1 => (height / 2, height), _ => (0, height) };
                var (left, right) = side switch { 2 => (0, width / 2), 3 => (width / 2, width), _ => (0, width) };
                Box(mask, width, top, bottom, left, right, 0);
                break;
            case 1:
                mask.Fill(1);
                RandomBox(ref random, mask, height, width, 0);
                break;
            case 2:
                mask.Clear();
                RandomBox(ref random, mask, height, width, 1);
                break;
            default:
                mask.Fill(1);
                for (int stroke = random.Below(MostStrokes); stroke >= 0; stroke--)
                    Stroke(ref random, mask, height, width);
                break;
        }
    }

    /// <summary>A box of a quarter to three quarters of each side.</summary>
    private static void RandomBox(ref RandomReader random, Span<float> mask, int height, int width, float value)
    {
        int h = height / 4 + random.Below(height / 2 + 1), w = width / 4 + random.Below(width / 2 + 1);
        int top = random.Below(height - h + 1), left = random.Below(width - w + 1);
        Box(mask, width, top, top + h, left, left + w, value);
    }

    private static void Box(Span<float> mask, int width, int top, int bottom, int left, int right, float value)
    {
        for (int y = top; y < bottom; y++)
            mask[(y * width + left)..(y * width + right)].Fill(value);
    }

    /// <summary>A broken line, drawn with a brush of a twelfth to a sixth of the side in radius.</summary>
    private static void Stroke(ref RandomReader random, Span<float> mask, int height, int width)
    {
        int side = Math.Min(height, width);
        float radius = random.Between(side / 12f, side / 6f), x = random.Between(0, width), y = random.Between(0, height);
        for (int points = 1 + random.Below(MostPoints - 1); points > 0; points--)
        {
            float toX = random.Between(0, width), toY = random.Between(0, height);
            for (int i = 0; i < mask.Length; i++)
            {
                if (DistanceSquared(i % width + 0.5f, i / width + 0.5f, x, y, toX, toY) <= radius * radius)
                    mask[i] = 0;
            }
            (x, y) = (toX, toY);
        }
    }

    /// <summary>From a point to the nearest of a line between two others.</summary>
    private static float DistanceSquared(float px, float py, float x, float y, float toX, float toY)
    {
        float dx = toX - x, dy = toY - y, length = dx * dx + dy * dy;
        float part = length == 0 ? 0 : Math.Clamp(((px - x) * dx + (py - y) * dy) / length, 0, 1);
        float fromX = px - x - part * dx, fromY = py - y - part * dy;
        return fromX * fromX + fromY * fromY;
    }
}
