using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Plots;

/// <summary>A picture of one or several panels side by side, drawn by this library alone and saved as PNG.</summary>
/// <example><code>
/// var figure = new Figure();
/// var axes = figure.AddAxes("samples");
/// axes.EqualAspect = true;
/// axes.Scatter(points);
/// figure.Save("samples.png");
/// </code></example>
public sealed class Figure
{
    private readonly List<Axes> _axes = [];

    /// <summary>Stands above all panels.</summary>
    public string Title { get; set; } = "";

    /// <summary>Width of the box of a panel in points, without labels.</summary>
    public int PanelWidth { get; set; } = 360;

    /// <summary>Height of the box of a panel in points, without labels.</summary>
    public int PanelHeight { get; set; } = 360;

    /// <summary>Panels in a row; 0 puts all in one.</summary>
    public int Columns { get; set; }

    /// <summary>Pixels of a point.</summary>
    public double PixelsPerPoint { get; set; } = 1.5;

    /// <summary>Adds a panel to the right of the others.</summary>
    public Axes AddAxes(string title = "")
    {
        var axes = new Axes { Title = title };
        _axes.Add(axes);
        return axes;
    }

    /// <summary>Draws the figure.</summary>
    /// <exception cref="InvalidOperationException">It has no panel.</exception>
    public Image Render()
    {
        if (_axes.Count == 0)
            throw new InvalidOperationException("A figure needs at least one panel; call AddAxes first.");
        double unit = PixelsPerPoint;
        var panels = _axes.ConvertAll(axes => new Panel(axes, unit, PanelWidth * unit, PanelHeight * unit));
        int columns = Columns < 1 ? panels.Count : Math.Min(Columns, panels.Count), rows = (panels.Count + columns - 1) / columns;
        // Boxes stand in straight rows and columns, so margins are those of the panel that needs most.
        double rowGap = rows > 1 ? 10 * unit : 0;
        double left = panels.Max(panel => panel.MarginLeft), right = panels.Max(panel => panel.MarginRight);
        double top = panels.Max(panel => panel.MarginTop), bottom = panels.Max(panel => panel.MarginBottom);
        double cellWidth = left + PanelWidth * unit + right, cellHeight = top + PanelHeight * unit + bottom + rowGap;
        double border = 8 * unit, header = Title.Length > 0 ? 26 * unit : 0;
        var canvas = new Canvas((int)Math.Ceiling(columns * cellWidth + 2 * border), (int)Math.Ceiling(rows * cellHeight + 2 * border + header));
        if (Title.Length > 0)
            StrokeFont.Draw(canvas, Title, canvas.Width / 2.0, border + 16 * unit, 16 * unit, Color.Ink, anchor: 0.5);
        for (int i = 0; i < panels.Count; i++)
            panels[i].Draw(canvas, border + i % columns * cellWidth + left, border + header + i / columns * cellHeight + top);
        return canvas.ToImage();
    }

    /// <summary>Draws the figure into a PNG file, whole or not at all.</summary>
    public void Save(string path) => Render().Save(path);
}
