namespace RawDiffusion.Diffusion.Data.Digits;

internal enum DigitStyle
{
    Regular,
    Bold,
    Italic,
    Outlined,
}

/// <summary>All that is random about a digit but the places of its knots.</summary>
internal readonly struct DigitTraits
{
    // Of the middle line of the pen, in pixels; the pen adds its radius on both sides.
    private const float LeastHeight = 16.5f, MostHeight = 19.5f;
    private const float MostShift = 1.5f;
    private const float MostRotation = 0.09f;

    // Italic digits lean more than any other can by slant and rotation together.
    private const float MostSlant = 0.1f, LeastItalicSlant = 0.32f, MostItalicSlant = 0.48f;

    private readonly float _xx, _xy, _yx, _yy, _shiftX, _shiftY;
    private readonly float _radius, _hollow;

    public DigitTraits(ref RandomReader random)
    {
        Digit = random.Below(DigitGlyphs.All.Length);
        Variant = random.Below(DigitGlyphs.All[Digit].Length);
        Style = (DigitStyle)random.Below(4);
        Color = random.Below(DigitColors.All.Count);

        float height = random.Between(LeastHeight, MostHeight), width = height * random.Between(0.85f, 1.2f);
        float slant = Style == DigitStyle.Italic ? random.Between(LeastItalicSlant, MostItalicSlant) : MostSlant * random.Triangular();
        var (sin, cos) = MathF.SinCos(MostRotation * random.Triangular());
        // (x, y) of the glyph is scaled, slanted (its top goes to the right) and rotated about its middle.
        (_xx, _xy) = (cos * width, -cos * slant * height - sin * height);
        (_yx, _yy) = (sin * width, -sin * slant * height + cos * height);
        _shiftX = (DigitPen.Side - 1) / 2f + MostShift * random.Triangular();
        _shiftY = (DigitPen.Side - 1) / 2f + MostShift * random.Triangular();
        (_radius, _hollow) = Style switch
        {
            DigitStyle.Bold => (random.Between(1.9f, 2.4f), 0),
            DigitStyle.Outlined => (random.Between(2.2f, 2.6f), random.Between(1.1f, 1.3f)),
            _ => (random.Between(1f, 1.45f), 0f),
        };
        Wobble = random.Between(0.02f, 0.07f);
    }

    public int Digit { get; }

    public int Variant { get; }

    public DigitStyle Style { get; }

    public int Color { get; }

    /// <summary>How far a knot may be from its place, in heights of the digit.</summary>
    public float Wobble { get; }

    /// <summary>From the glyph's coordinates to pixels; the middle of the first pixel is (0, 0).</summary>
    public (float X, float Y) Place(float x, float y) => (_xx * x + _xy * y + _shiftX, _yx * x + _yy * y + _shiftY);

    /// <summary>How much of a pixel is covered, from its distance to the middle line of the pen, in pixels.</summary>
    public float Ink(float distance)
    {
        float ink = Math.Clamp(_radius + 0.5f - distance, 0, 1);
        return _hollow > 0 ? ink - Math.Clamp(_hollow + 0.5f - distance, 0, 1) : ink;
    }
}
