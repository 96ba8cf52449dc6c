namespace RawDiffusion.Diffusion.Plots;

/// <summary>Numbers on a grid of cells, shown by colours, and the bar that explains those.</summary>
internal sealed class HeatMap
{
    private const double BarGap = 12, BarWidth = 12, TickLength = 4, Gap = 4;

    private readonly double[] _values;
    private readonly int _rows, _columns;
    private readonly ColorMap _colors;
    private readonly string _label;
    private readonly bool _logarithmic;
    private readonly (double Low, double High) _range;

    /// <param name="values">[rows, columns], row-major; the first row is that of the least y. What is not finite is left out.</param>
    /// <param name="range">The values of the first and last colour; null for the least and greatest that can be shown.</param>
    public HeatMap(
        double[] values, int rows, int columns, (double Low, double High) x, (double Low, double High) y, ColorMap colors, string label,
        bool logarithmic, (double Low, double High)? range)
    {
        (_values, _rows, _columns, X, Y, _colors, _label, _logarithmic) = (values, rows, columns, x, y, colors, label, logarithmic);
        _range = range ?? RangeOf(values, logarithmic);
    }

    /// <summary>Outer edges of the first and last column.</summary>
    public (double Low, double High) X { get; }

    /// <summary>Outer edges of the first and last row.</summary>
    public (double Low, double High) Y { get; }

    /// <summary>Colours the cells. Neighbours share the pixel of their edge, so there are neither gaps nor overlaps.</summary>
    public void Draw(Canvas canvas, Scale x, Scale y)
    {
        var colors = new Scale(_range.Low, _range.High, 0, 1, _logarithmic);
        for (int row = 0; row < _rows; row++)
        {
            double bottom = y[Edge(Y, row, _rows)], top = y[Edge(Y, row + 1, _rows)];
            for (int column = 0; column < _columns; column++)
            {
                double at = colors[_values[row * _columns + column]];
                if (double.IsFinite(at))
                    canvas.FillRectangle(x[Edge(X, column, _columns)], top, x[Edge(X, column + 1, _columns)], bottom, _colors[at]);
            }
        }
    }

    /// <summary>Room that the bar needs to the right of the panel's box, in pixels.</summary>
    public double MeasureBar(double height, double unit, double tickSize, double labelSize)
    {
        double widest = TicksOf(height, unit).Select(tick => StrokeFont.Measure(tick.Label, tickSize)).DefaultIfEmpty().Max();
        return (BarGap + BarWidth + TickLength + 2 * Gap) * unit + widest + (_label.Length > 0 ? labelSize + Gap * unit : 0);
    }

    /// <summary>Draws the bar with ticks and label beside a panel's box.</summary>
    public void DrawBar(Canvas canvas, double right, double top, double bottom, double unit, double tickSize, double labelSize, double rule)
    {
        double left = Math.Round(right + BarGap * unit), end = Math.Round(left + BarWidth * unit);
        for (double y = top; y < bottom; y++)
            canvas.FillRectangle(left, y, end, y + 1, _colors[(bottom - 0.5 - y) / (bottom - top)]);
        canvas.FillRectangle(left, top, end, top + rule, Color.Ink);
        canvas.FillRectangle(left, bottom, end + rule, bottom + rule, Color.Ink);
        canvas.FillRectangle(left, top, left + rule, bottom, Color.Ink);
        canvas.FillRectangle(end, top, end + rule, bottom, Color.Ink);

        var scale = new Scale(_range.Low, _range.High, bottom, top, _logarithmic);
        double widest = 0, start = end + rule + (TickLength + Gap) * unit;
        foreach (var tick in TicksOf(bottom - top, unit))
        {
            double y = Math.Round(scale[tick.Value]), reach = (tick.Label.Length > 0 ? 1 : 0.5) * TickLength * unit;
            canvas.FillRectangle(end + rule, y, end + rule + reach, y + rule, Color.Ink);
            StrokeFont.Draw(canvas, tick.Label, start, y + rule / 2 + StrokeFont.CapHeight * tickSize / 2, tickSize, Color.Ink);
            widest = Math.Max(widest, StrokeFont.Measure(tick.Label, tickSize));
        }
        double line = start + widest + Gap * unit + StrokeFont.CapHeight * labelSize;
        StrokeFont.Draw(canvas, _label, line, (top + bottom) / 2, labelSize, Color.Ink, anchor: 0.5, upward: true);
    }

    private List<Tick> TicksOf(double height, double unit)
    {
        int most = (int)Math.Clamp(height / (42 * unit), 2, 12);
        return _logarithmic ? Ticks.Logarithmic(_range.Low, _range.High, most) : Ticks.Linear(_range.Low, _range.High, most);
    }

    private static double Edge((double Low, double High) limits, int index, int count) =>
        limits.Low + (limits.High - limits.Low) * index / count;

    /// <summary>From the least to the greatest value, or what surrounds it where there is but one.</summary>
    private static (double Low, double High) RangeOf(double[] values, bool logarithmic)
    {
        double low = double.PositiveInfinity, high = double.NegativeInfinity;
        foreach (double value in values)
        {
            if (double.IsFinite(value) && !(logarithmic && value <= 0))
                (low, high) = (Math.Min(low, value), Math.Max(high, value));
        }
        return Scale.IsAxis(low, high) ? (low, high) : Scale.Limits(values, logarithmic);
    }
}
