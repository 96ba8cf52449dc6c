namespace RawDiffusion.IO;

/// <summary>
/// The colours of a picture, counted in 32 x 32 x 32 cells of the colour cube, to choose a few of them by median cut (Heckbert
/// 1982) in the form that looks at spread: always the box whose pixels differ most from their mean is cut, across the axis of
/// most spread, at the mean.
/// </summary>
internal sealed class ColorCells
{
    private const int BitsPerChannel = 5, Count = 1 << 3 * BitsPerChannel;

    private readonly List<Cell> _cells = [];

    /// <param name="pixels">[n, 3].</param>
    public ColorCells(ReadOnlySpan<byte> pixels)
    {
        var sums = new Cell[Count];
        for (int i = 0; i < pixels.Length; i += 3)
        {
            ref var cell = ref sums[CellOf(pixels[i], pixels[i + 1], pixels[i + 2])];
            cell.Weight++;
            cell.Red += pixels[i];
            cell.Green += pixels[i + 1];
            cell.Blue += pixels[i + 2];
        }
        for (int i = 0; i < Count; i++)
        {
            var cell = sums[i];
            if (cell.Weight > 0)
                _cells.Add(new Cell { Index = i, Weight = cell.Weight, Red = cell.Red / cell.Weight, Green = cell.Green / cell.Weight, Blue = cell.Blue / cell.Weight });
        }
    }

    public static int CellOf(byte red, byte green, byte blue) =>
        red >> (8 - BitsPerChannel) << 2 * BitsPerChannel | green >> (8 - BitsPerChannel) << BitsPerChannel | blue >> (8 - BitsPerChannel);

    /// <summary>At most so many colours, each 0xRRGGBB.</summary>
    public int[] Choose(int most)
    {
        Cell[] cells = [.. _cells];
        var boxes = new PriorityQueue<Box, double>();
        var uncut = new List<Box>();
        Add(new Box(cells));
        while (boxes.Count > 0 && boxes.Count + uncut.Count < most)
        {
            var (left, right) = boxes.Dequeue().Cut();
            Add(left);
            Add(right);
        }
        return [.. uncut.Concat(boxes.UnorderedItems.Select(static item => item.Element)).Select(static box => box.Mean)];

        void Add(Box box)
        {
            if (box.Spread > 0)
                boxes.Enqueue(box, -box.Spread);
            else
                uncut.Add(box);
        }
    }

    /// <summary>For each cell that the picture touches, the index of the colour nearest to the mean of its pixels.</summary>
    public byte[] Nearest(ReadOnlySpan<int> colors)
    {
        var nearest = new byte[Count];
        foreach (var cell in _cells)
        {
            double best = double.PositiveInfinity;
            for (int i = 0; i < colors.Length; i++)
            {
                double red = cell.Red - (colors[i] >> 16), green = cell.Green - (colors[i] >> 8 & 255), blue = cell.Blue - (colors[i] & 255);
                double distance = red * red + green * green + blue * blue;
                if (distance < best)
                    (best, nearest[cell.Index]) = (distance, (byte)i);
            }
        }
        return nearest;
    }

    /// <summary>Number of pixels, and sums (while counting) or means of their channels.</summary>
    private struct Cell
    {
        public int Index;
        public double Weight, Red, Green, Blue;

        public readonly double this[int channel] => channel switch { 0 => Red, 1 => Green, _ => Blue };
    }

    private sealed class Box
    {
        private readonly Memory<Cell> _cells;
        private readonly double[] _mean = new double[3];
        private readonly int _longest;

        public Box(Memory<Cell> cells)
        {
            _cells = cells;
            double weight = 0;
            foreach (ref readonly var cell in cells.Span)
            {
                weight += cell.Weight;
                for (int c = 0; c < 3; c++)
                    _mean[c] += cell.Weight * cell[c];
            }
            for (int c = 0; c < 3; c++)
                _mean[c] /= weight;
            for (int c = 0; c < 3 && cells.Length > 1; c++)
            {
                double squares = 0;
                foreach (ref readonly var cell in cells.Span)
                    squares += cell.Weight * (cell[c] - _mean[c]) * (cell[c] - _mean[c]);
                if (squares > Spread)
                    (Spread, _longest) = (squares, c);
            }
        }

        /// <summary>Sum over the pixels of their squared distance from the mean along the axis where that is most; 0 for one cell.</summary>
        public double Spread { get; }

        public int Mean => (int)Math.Round(_mean[0]) << 16 | (int)Math.Round(_mean[1]) << 8 | (int)Math.Round(_mean[2]);

        /// <summary>In two at the mean. Both parts have a cell, even where the mean is so near to an end that rounding puts it there.</summary>
        public (Box Left, Box Right) Cut()
        {
            var cells = _cells.Span;
            int middle = 0;
            for (int i = 0; i < cells.Length; i++)
            {
                if (cells[i][_longest] >= _mean[_longest])
                    continue;
                (cells[i], cells[middle]) = (cells[middle], cells[i]);
                middle++;
            }
            middle = Math.Clamp(middle, 1, cells.Length - 1);
            return (new Box(_cells[..middle]), new Box(_cells[middle..]));
        }
    }
}
