using System.Globalization;

namespace RawDiffusion.Diffusion.Plots;

/// <summary>A mark on an axis. Minor marks have no label.</summary>
internal readonly record struct Tick(double Value, string Label);

/// <summary>Chooses round numbers to mark on an axis.</summary>
internal static class Ticks
{
    private static readonly double[] s_steps = [1, 2, 2.5, 5, 10];

    /// <summary>The marks of an axis, <paramref name="most"/> of them with a label.</summary>
    public static List<Tick> Of((double Low, double High) limits, int most, bool logarithmic) =>
        logarithmic ? Logarithmic(limits.Low, limits.High, most) : Linear(limits.Low, limits.High, most);

    /// <summary>Multiples of 1, 2, 2.5 or 5 times a power of ten in [low, high], at most <paramref name="most"/> of them.</summary>
    public static List<Tick> Linear(double low, double high, int most)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10((high - low) / most)));
        double step = power * s_steps[0];
        foreach (double candidate in s_steps)
        {
            step = candidate * power;
            if (Math.Floor(high / step) - Math.Ceiling(low / step) + 1 <= most)
                break;
        }
        // A little slack, so that a limit which is itself a multiple keeps its mark.
        double slack = 1e-9 * (high - low);
        var ticks = new List<Tick>();
        double largest = Math.Max(Math.Abs(low), Math.Abs(high));
        for (double n = Math.Ceiling((low - slack) / step); n * step <= high + slack; n++)
            ticks.Add(new Tick(n * step, Label(n * step, step, largest)));
        return ticks;
    }

    /// <summary>
    /// Powers of ten in [low, high] with labels and their multiples without; where there are hardly two powers, 2 and 5 get labels too,
    /// and where that makes fewer than two labels, the ticks are those of a linear axis.
    /// </summary>
    public static List<Tick> Logarithmic(double low, double high, int most)
    {
        int first = (int)Math.Floor(Math.Log10(low) + 1e-9), last = (int)Math.Floor(Math.Log10(high) + 1e-9);
        bool narrow = Math.Log10(high / low) < 2;
        int stride = Math.Max(1, (int)Math.Ceiling((last - first) / (double)most));
        var ticks = new List<Tick>();
        for (int exponent = first; exponent <= last; exponent++)
        {
            double power = Math.Pow(10, exponent);
            for (int digit = 1; digit <= 9; digit++)
            {
                double value = digit * power;
                if (value < low * (1 - 1e-9) || value > high * (1 + 1e-9))
                    continue;
                string label = "";
                if (narrow && digit is 1 or 2 or 5)
                    label = Label(value, power, value);
                else if (digit == 1 && (exponent - first) % stride == 0)
                    label = Power(exponent);
                if (label.Length > 0 || stride == 1)
                    ticks.Add(new Tick(value, label));
            }
        }
        return ticks.Count(static tick => tick.Label.Length > 0) < 2 ? Linear(low, high, most) : ticks;
    }

    private static string Label(double value, double step, double largest)
    {
        if (Math.Abs(value) < step * 1e-6)
            return "0";
        string sign = value < 0 ? "−" : "";
        double size = Math.Abs(value);
        if (largest is >= 1e6 or < 1e-3)
        {
            int exponent = (int)Math.Floor(Math.Log10(largest) + 1e-9);
            double power = Math.Pow(10, exponent);
            return $"{sign}{Decimal(size / power, step / power)}×{Power(exponent)}";
        }
        return sign + Decimal(size, step);
    }

    private static string Decimal(double value, double step)
    {
        // As many decimals as the step has: 0.25 has two, 0.5 one.
        int decimals = 0;
        double scaled = step;
        while (decimals < 12 && Math.Abs(scaled - Math.Round(scaled)) > 1e-6 * scaled)
        {
            scaled *= 10;
            decimals++;
        }
        return value.ToString($"F{decimals}", CultureInfo.InvariantCulture);
    }

    private static string Power(int exponent) => $"10^{{{(exponent < 0 ? "−" : "")}{Math.Abs(exponent)}}}";
}
