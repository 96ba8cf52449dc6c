namespace RawDiffusion.Diffusion.Plots;

/// <summary>
/// Colours for the numbers from 0 to 1, mixed between a few given ones in Oklab (Ottosson 2020), where equal steps look equally
/// large. The lightness grows or falls evenly from one end to the other, so that a map is read rightly without seeing colour, or
/// printed in grey; the given colours stand where that puts them.
/// </summary>
public sealed class ColorMap
{
    /// <summary>White over yellow-green and teal to dark blue: nothing looks like paper. For densities.</summary>
    public static readonly ColorMap Lagoon = new(
        new(255, 255, 255), new(233, 243, 190), new(150, 214, 176), new(62, 165, 178), new(38, 98, 158), new(20, 28, 84));

    /// <summary>Nearly black over violet, red and orange to pale yellow. For intensities.</summary>
    public static readonly ColorMap Ember = new(
        new(8, 6, 22), new(66, 17, 92), new(145, 38, 96), new(215, 75, 58), new(245, 150, 40), new(252, 240, 170));

    private readonly Oklab[] _stops;

    /// <param name="stops">From the colour of 0 to that of 1.</param>
    /// <exception cref="ArgumentException">There are fewer than two, or they do not become lighter, or darker, from each to the next.</exception>
    public ColorMap(params ReadOnlySpan<Color> stops)
    {
        if (stops.Length < 2)
            throw new ArgumentException($"A colour map needs two colours or more, not {stops.Length}.");
        _stops = new Oklab[stops.Length];
        for (int i = 0; i < stops.Length; i++)
            _stops[i] = Oklab.From(stops[i]);
        for (int i = 1; i < stops.Length; i++)
        {
            if (!(Place(_stops[i]) > Place(_stops[i - 1])))
                throw new ArgumentException($"Colour {i} of a map, {stops[i]}, does not go on from dark to light or from light to dark.");
        }
    }

    /// <summary>The colour of a number; one outside 0 to 1 has that of the nearer end.</summary>
    public Color this[double value]
    {
        get
        {
            value = Math.Clamp(value, 0, 1);
            int next = 1;
            while (next < _stops.Length - 1 && Place(_stops[next]) < value)
                next++;
            double from = Place(_stops[next - 1]), to = Place(_stops[next]);
            return Oklab.Mix(_stops[next - 1], _stops[next], (value - from) / (to - from)).ToColor();
        }
    }

    /// <summary>Where a colour stands between the ends by its lightness.</summary>
    private double Place(Oklab color) => (color.L - _stops[0].L) / (_stops[^1].L - _stops[0].L);

    /// <summary>Lightness and two axes of colour, from the inventor's two matrices and a cube root between them.</summary>
    private readonly record struct Oklab(double L, double A, double B)
    {
        public static Oklab From(Color color)
        {
            double red = ToLinear(color.R), green = ToLinear(color.G), blue = ToLinear(color.B);
            double l = Math.Cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue);
            double m = Math.Cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue);
            double s = Math.Cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue);
            return new Oklab(
                0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
                1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
                0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s);
        }

        public static Oklab Mix(Oklab a, Oklab b, double share) =>
            new(a.L + share * (b.L - a.L), a.A + share * (b.A - a.A), a.B + share * (b.B - a.B));

        public Color ToColor()
        {
            double l = Cube(L + 0.3963377774 * A + 0.2158037573 * B);
            double m = Cube(L - 0.1055613458 * A - 0.0638541728 * B);
            double s = Cube(L - 0.0894841775 * A - 1.2914855480 * B);
            return new Color(
                FromLinear(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
                FromLinear(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
                FromLinear(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s));
        }

        private static double Cube(double x) => x * x * x;

        // The transfer function of sRGB (IEC 61966-2-1).
        private static double ToLinear(byte value)
        {
            double x = value / 255.0;
            return x <= 0.04045 ? x / 12.92 : Math.Pow((x + 0.055) / 1.055, 2.4);
        }

        private static byte FromLinear(double value)
        {
            double x = value <= 0.0031308 ? 12.92 * value : 1.055 * Math.Pow(value, 1 / 2.4) - 0.055;
            return (byte)Math.Round(255 * Math.Clamp(x, 0, 1));
        }
    }
}
