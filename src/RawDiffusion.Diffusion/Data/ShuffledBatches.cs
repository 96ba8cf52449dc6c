using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Data;

/// <summary>
/// Endless batches of a set of images: every image once per epoch in a new random order (an incomplete batch at an epoch's end is
/// left out), each shifted by a random whole number of pixels, the border filled with byte 0.
/// </summary>
/// <param name="batch">Images per batch, at most as many as there are.</param>
/// <param name="maxShift">Largest shift along each axis, in pixels; 0 for none.</param>
public sealed class ShuffledBatches(LabelledImages images, int batch, int maxShift, Generator generator, Backend? device = null)
{
    private readonly byte[] _shifted = new byte[batch * images.Height * images.Width * images.Channels];
    private readonly byte[] _labels = new byte[batch];
    private int[] _order = [];
    private int _next;

    /// <summary>The next batch: images [batch, H, W, C] in [-1, 1] and labels [batch].</summary>
    public (Tensor Images, Tensor Labels) Next()
    {
        if (_next + batch > _order.Length)
        {
            _order = generator.Permutation(images.Count);
            _next = 0;
        }
        var shifts = Shifts();
        int size = images.Height * images.Width * images.Channels;
        for (int i = 0; i < batch; i++)
        {
            int index = _order[_next + i];
            Shift(images.Pixels.Slice(index * size, size), _shifted.AsSpan(i * size, size), shifts[2 * i], shifts[2 * i + 1]);
            _labels[i] = images.Labels[index];
        }
        _next += batch;
        var made = new LabelledImages(_shifted, _labels, images.Height, images.Width, images.Channels, images.Classes);
        return (made.ImageTensor(device: device), made.LabelTensor(device));
    }

    private int[] Shifts() =>
        maxShift == 0 ? new int[2 * batch] : Tensor.RandInt(generator, -maxShift, maxShift + 1, [2 * batch], Device.Cpu).ToInt32Array();

    private void Shift(ReadOnlySpan<byte> source, Span<byte> target, int down, int right)
    {
        int row = images.Width * images.Channels, offset = right * images.Channels;
        target.Clear();
        for (int y = Math.Max(0, down); y < Math.Min(images.Height, images.Height + down); y++)
        {
            var from = source.Slice((y - down) * row, row);
            var to = target.Slice(y * row, row);
            if (offset >= 0)
                from[..^offset].CopyTo(to[offset..]);
            else
                from[-offset..].CopyTo(to);
        }
    }
}
