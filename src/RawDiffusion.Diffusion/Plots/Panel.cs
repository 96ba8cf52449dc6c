namespace RawDiffusion.Diffusion.Plots;

/// <summary>Draws one <see cref="Axes"/>. Lengths are in pixels; unit is the pixels of a point.</summary>
internal sealed class Panel
{
    private const double TickSize = 11, LabelSize = 12.5, TitleSize = 14, LegendSize = 11.5;
    private const double TickLength = 4, Gap = 4;

    private readonly Axes _axes;
    private readonly double _unit, _width, _height;
    private readonly (double Low, double High) _xLimits, _yLimits;
    private readonly List<Tick> _xTicks, _yTicks;

    public Panel(Axes axes, double unit, double width, double height)
    {
        (_axes, _unit, _width, _height) = (axes, unit, width, height);
        _xLimits = Check(axes.XLimits ?? axes.Map?.X, "XLimits", axes.LogX)
            ?? Scale.Limits(axes.Series.SelectMany(series => series.X), axes.LogX);
        _yLimits = Check(axes.YLimits ?? axes.Map?.Y, "YLimits", axes.LogY)
            ?? Scale.Limits(axes.Series.SelectMany(series => series.Y), axes.LogY);
        if (axes.EqualAspect)
            Equalize(ref _xLimits, ref _yLimits);
        int mostX = (int)Math.Clamp(width / (52 * unit), 2, 12), mostY = (int)Math.Clamp(height / (42 * unit), 2, 12);
        _xTicks = Ticks.Of(_xLimits, mostX, axes.LogX);
        _yTicks = Ticks.Of(_yLimits, mostY, axes.LogY);

        double widest = _yTicks.Count == 0 ? 0 : _yTicks.Max(tick => StrokeFont.Measure(tick.Label, TickSize * unit));
        MarginLeft = widest + (TickLength + Gap + 4) * unit + (axes.YLabel.Length > 0 ? (LabelSize + Gap + 2) * unit : 0);
        MarginRight = Math.Max(14 * unit, axes.Map?.MeasureBar(height, unit, TickSize * unit, LabelSize * unit) ?? 0);
        MarginTop = axes.Title.Length > 0 ? (TitleSize + 10) * unit : 8 * unit;
        MarginBottom = (TickLength + Gap + TickSize) * unit + (axes.XLabel.Length > 0 ? (LabelSize + Gap + 4) * unit : 4 * unit);
    }

    public double MarginLeft { get; }

    public double MarginRight { get; }

    public double MarginTop { get; }

    public double MarginBottom { get; }

    /// <summary>Draws the panel with the top left corner of its box at (left, top).</summary>
    public void Draw(Canvas canvas, double left, double top)
    {
        (left, top) = (Math.Round(left), Math.Round(top));
        double right = Math.Round(left + _width), bottom = Math.Round(top + _height);
        var x = new Scale(_xLimits.Low, _xLimits.High, left, right, _axes.LogX);
        var y = new Scale(_yLimits.Low, _yLimits.High, bottom, top, _axes.LogY);

        // Rules are whole pixels wide and start at whole pixels; otherwise they would be grey instead of thin.
        double rule = Math.Max(1, Math.Round(0.8 * _unit));
        foreach (var tick in _xTicks.Where(tick => tick.Label.Length > 0))
            FillRule(canvas, x[tick.Value], top, bottom, rule, vertical: true, Color.Grid);
        foreach (var tick in _yTicks.Where(tick => tick.Label.Length > 0))
            FillRule(canvas, y[tick.Value], left, right, rule, vertical: false, Color.Grid);

        var whole = canvas.Clip;
        canvas.Clip = ((int)left, (int)top, (int)right, (int)bottom);
        _axes.Map?.Draw(canvas, x, y);
        foreach (var series in _axes.Series)
            DrawSeries(canvas, series, x, y);
        canvas.Clip = whole;

        FillRule(canvas, left, top, bottom + rule, rule, vertical: true, Color.Ink);
        FillRule(canvas, right, top, bottom + rule, rule, vertical: true, Color.Ink);
        FillRule(canvas, top, left, right, rule, vertical: false, Color.Ink);
        FillRule(canvas, bottom, left, right, rule, vertical: false, Color.Ink);
        DrawTicks(canvas, x, y, left, bottom, rule);
        DrawLabels(canvas, left, top, right, bottom);
        _axes.Map?.DrawBar(canvas, right, top, bottom, _unit, TickSize * _unit, LabelSize * _unit, rule);
        DrawLegend(canvas, left, top, right, bottom, rule);
    }

    private void DrawSeries(Canvas canvas, Series series, Scale x, Scale y)
    {
        double size = series.Size * _unit;
        if (series.Kind == SeriesKind.Points)
        {
            for (int i = 0; i < series.X.Length; i++)
            {
                double px = x[series.X[i]], py = y[series.Y[i]];
                if (double.IsFinite(px) && double.IsFinite(py))
                    canvas.FillDisc(px, py, size, series.Color, series.Alpha);
            }
            return;
        }
        double travelled = 0;
        for (int i = 1; i < series.X.Length; i++)
        {
            double x0 = x[series.X[i - 1]], y0 = y[series.Y[i - 1]], x1 = x[series.X[i]], y1 = y[series.Y[i]];
            if (!double.IsFinite(x0 + y0 + x1 + y1))
                continue;
            if (series.Kind == SeriesKind.Line)
                canvas.MaskSegment(x0, y0, x1, y1, size);
            else
                travelled = MaskDashes(canvas, x0, y0, x1, y1, size, travelled);
        }
        canvas.PaintMask(series.Color, series.Alpha);
    }

    /// <summary>Adds the parts of a segment that are dashes; the answer is how far into the pattern its end lies.</summary>
    private double MaskDashes(Canvas canvas, double x0, double y0, double x1, double y1, double width, double travelled)
    {
        double dash = 5 * _unit, period = 9 * _unit, length = Math.Sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0));
        // Beyond that it leads far out of the picture, and its dashes would be without number.
        const double LongestDashed = 1e5;
        if (length > LongestDashed)
        {
            canvas.MaskSegment(x0, y0, x1, y1, width);
            return 0;
        }
        for (double start = -(travelled % period); start < length; start += period)
        {
            double from = Math.Max(0, start), to = Math.Min(length, start + dash);
            if (from < to)
            {
                double dx = (x1 - x0) / length, dy = (y1 - y0) / length;
                canvas.MaskSegment(x0 + dx * from, y0 + dy * from, x0 + dx * to, y0 + dy * to, width);
            }
        }
        return travelled + length;
    }

    private void DrawTicks(Canvas canvas, Scale x, Scale y, double left, double bottom, double rule)
    {
        double size = TickSize * _unit, length = TickLength * _unit, gap = Gap * _unit, capHeight = StrokeFont.CapHeight * size;
        foreach (var tick in _xTicks)
        {
            double reach = tick.Label.Length > 0 ? length : 0.5 * length;
            FillRule(canvas, x[tick.Value], bottom + rule, bottom + rule + reach, rule, vertical: true, Color.Ink);
            double baseline = bottom + rule + length + gap + capHeight;
            StrokeFont.Draw(canvas, tick.Label, x[tick.Value] + rule / 2, baseline, size, Color.Ink, anchor: 0.5);
        }
        foreach (var tick in _yTicks)
        {
            double reach = tick.Label.Length > 0 ? length : 0.5 * length;
            FillRule(canvas, y[tick.Value], left - reach, left, rule, vertical: false, Color.Ink);
            double baseline = y[tick.Value] + rule / 2 + capHeight / 2;
            StrokeFont.Draw(canvas, tick.Label, left - length - gap, baseline, size, Color.Ink, anchor: 1);
        }
    }

    private void DrawLabels(Canvas canvas, double left, double top, double right, double bottom)
    {
        double middleX = (left + right) / 2, middleY = (top + bottom) / 2, size = LabelSize * _unit;
        StrokeFont.Draw(canvas, _axes.Title, middleX, top - 8 * _unit, TitleSize * _unit, Color.Ink, anchor: 0.5);
        StrokeFont.Draw(canvas, _axes.XLabel, middleX, bottom + MarginBottom - 4 * _unit, size, Color.Ink, anchor: 0.5);
        double lineX = left - MarginLeft + StrokeFont.CapHeight * size + 2 * _unit;
        StrokeFont.Draw(canvas, _axes.YLabel, lineX, middleY, size, Color.Ink, anchor: 0.5, upward: true);
    }

    /// <summary>Puts the legend into the corner where least has been drawn.</summary>
    private void DrawLegend(Canvas canvas, double left, double top, double right, double bottom, double rule)
    {
        var entries = _axes.Series.Where(series => series.Label is not null).ToArray();
        if (entries.Length == 0)
            return;
        double size = LegendSize * _unit, line = 1.5 * size, padding = 7 * _unit, sample = 20 * _unit, distance = 8 * _unit;
        double width = 3 * padding + sample + entries.Max(series => StrokeFont.Measure(series.Label!, size));
        double height = entries.Length * line + 1.2 * padding;
        double bestLeft = 0, bestTop = 0, bestOccupancy = double.PositiveInfinity;
        foreach (double boxTop in new[] { top + distance, bottom - distance - height })
        {
            foreach (double boxLeft in new[] { right - distance - width, left + distance })
            {
                double occupancy = canvas.Occupancy((int)boxLeft, (int)boxTop, (int)(boxLeft + width), (int)(boxTop + height));
                if (occupancy < bestOccupancy)
                    (bestLeft, bestTop, bestOccupancy) = (Math.Round(boxLeft), Math.Round(boxTop), occupancy);
            }
        }
        canvas.FillRectangle(bestLeft, bestTop, bestLeft + width, bestTop + height, new Color(205, 205, 205));
        canvas.FillRectangle(bestLeft + rule, bestTop + rule, bestLeft + width - rule, bestTop + height - rule, Color.White);
        for (int i = 0; i < entries.Length; i++)
        {
            var series = entries[i];
            double middle = bestTop + 0.6 * padding + (i + 0.5) * line, start = bestLeft + padding;
            // Fine dots and lines are shown bolder than they are drawn, or they would not be seen; bold ones finer, to fit.
            if (series.Kind == SeriesKind.Points)
            {
                canvas.FillDisc(start + sample / 2, middle, Math.Clamp(series.Size, 3, 5) * _unit, series.Color);
            }
            else
            {
                double pen = Math.Clamp(series.Size, 1.5, 4) * _unit;
                if (series.Kind == SeriesKind.Line)
                    canvas.MaskSegment(start, middle, start + sample, middle, pen);
                else
                    MaskDashes(canvas, start, middle, start + sample, middle, pen, 0);
                canvas.PaintMask(series.Color);
            }
            StrokeFont.Draw(canvas, series.Label!, start + sample + padding, middle + StrokeFont.CapHeight * size / 2, size, Color.Ink);
        }
    }

    private static void FillRule(Canvas canvas, double at, double from, double to, double width, bool vertical, Color color)
    {
        at = Math.Round(at);
        if (vertical)
            canvas.FillRectangle(at, from, at + width, to, color);
        else
            canvas.FillRectangle(from, at, to, at + width, color);
    }

    /// <summary>Widens the limits of one axis about their middle until a unit is as long on both.</summary>
    private void Equalize(ref (double Low, double High) x, ref (double Low, double High) y)
    {
        double unitX = (x.High - x.Low) / _width, unitY = (y.High - y.Low) / _height, larger = Math.Max(unitX, unitY);
        Widen(ref x, larger * _width);
        Widen(ref y, larger * _height);

        static void Widen(ref (double Low, double High) limits, double extent)
        {
            double middle = (limits.Low + limits.High) / 2;
            limits = (middle - extent / 2, middle + extent / 2);
        }
    }

    private static (double Low, double High)? Check((double Low, double High)? limits, string name, bool logarithmic)
    {
        if (limits is not var (low, high))
            return null;
        return Scale.IsAxis(low, high, logarithmic)
            ? limits
            : throw new ArgumentException($"Axes.{name}: {low} to {high} is no axis{(logarithmic ? "; a logarithmic one needs positive limits" : "")}.");
    }
}
