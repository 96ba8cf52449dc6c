using RawDiffusion.Backends.Reference;

namespace RawDiffusion.Diffusion.Data;

/// <summary>
/// Uniform on the eight dark squares of a board of 4 x 4 squares of side 1 with its middle at the origin; square (column, row), counted
/// from the lower left, is dark where column + row is even. Edges are sharp and squares touch at their corners.
/// </summary>
/// <remarks>
/// With noise x_t = alpha x0 + sigma eps the density is the sum over the dark squares of g_column(x) g_row(y) / 8, where
/// g_k(x) = (Phi((x - alpha a_k) / sigma) - Phi((x - alpha a_(k+1)) / sigma)) / alpha, a_k = k - 2 and Phi the distribution function
/// of the standard normal: an interval, convolved. Given its interval, a coordinate of x0 is a truncated normal.
/// </remarks>
public sealed class Checkerboard : IExactDensity
{
    public const int Squares = 4;
    public const int DarkSquares = Squares * Squares / 2;

    /// <summary>The board is [-HalfWidth, HalfWidth] along each axis.</summary>
    public const double HalfWidth = Squares / 2.0;

    private const double SquareVariance = 1.0 / 12;

    // Below this ratio of signal to noise the difference of two distribution functions loses more than the midpoint rule does.
    private const double LeastRatio = 1e-4;

    /// <summary>Integer 0 picks the square, integers 1 and 2 the place in it.</summary>
    public Point2 Point(uint r0, uint r1, uint r2, uint r3)
    {
        uint square = r0 >> 29, column = square >> 1, row = 2 * (square & 1) + (column & 1);
        return new Point2(column - HalfWidth + PointSampling.Uniform(r1), row - HalfWidth + PointSampling.Uniform(r2));
    }

    /// <summary>ln p(x_t), in nats; minus infinity on light squares where there is no noise.</summary>
    public double LogDensity(Point2 x, double alpha = 1, double sigma = 0) => Evaluate(x, alpha, sigma).LogDensity;

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">Without noise the density has steps and no gradient.</exception>
    public Point2 Score(Point2 x, double alpha = 1, double sigma = 0) => sigma > 0
        ? Evaluate(x, alpha, sigma).Score
        : throw new ArgumentException($"Checkerboard: the score needs noise; sigma is {sigma}.");

    /// <inheritdoc/>
    public Point2 Denoise(Point2 x, double alpha, double sigma) =>
        sigma > 0 ? Evaluate(x, alpha, sigma).Mean : new Point2(x.X / alpha, x.Y / alpha);

    /// <summary>Of one coordinate, given the strip [a_k, a_(k+1)] of the board that it came from.</summary>
    /// <param name="LogDensity">ln g_k.</param>
    /// <param name="Slope">The derivative of ln g_k with respect to the coordinate.</param>
    /// <param name="Mean">The mean of the coordinate of x0.</param>
    private readonly record struct Strip(double LogDensity, double Slope, double Mean);

    private static (double LogDensity, Point2 Score, Point2 Mean) Evaluate(Point2 x, double alpha, double sigma)
    {
        Span<Strip> columns = stackalloc Strip[Squares], rows = stackalloc Strip[Squares];
        double largest = double.NegativeInfinity;
        for (int k = 0; k < Squares; k++)
            (columns[k], rows[k]) = (MakeStrip(k, x.X, alpha, sigma), MakeStrip(k, x.Y, alpha, sigma));
        for (int column = 0; column < Squares; column++)
        {
            for (int row = column & 1; row < Squares; row += 2)
                largest = Math.Max(largest, columns[column].LogDensity + rows[row].LogDensity);
        }
        if (double.IsNegativeInfinity(largest))
            return (largest, default, default);
        double sum = 0, scoreX = 0, scoreY = 0, meanX = 0, meanY = 0;
        for (int column = 0; column < Squares; column++)
        {
            for (int row = column & 1; row < Squares; row += 2)
            {
                double weight = Math.Exp(columns[column].LogDensity + rows[row].LogDensity - largest);
                sum += weight;
                scoreX += weight * columns[column].Slope;
                scoreY += weight * rows[row].Slope;
                meanX += weight * columns[column].Mean;
                meanY += weight * rows[row].Mean;
            }
        }
        return (largest + Math.Log(sum / DarkSquares), new Point2(scoreX / sum, scoreY / sum), new Point2(meanX / sum, meanY / sum));
    }

    private static Strip MakeStrip(int k, double x, double alpha, double sigma)
    {
        double low = k - HalfWidth, high = low + 1, middle = low + 0.5;
        if (sigma == 0)
            return new Strip(x >= alpha * low && x < alpha * high ? -Math.Log(alpha) : double.NegativeInfinity, 0, x / alpha);
        if (alpha < LeastRatio * sigma)
        {
            double u = (x - alpha * middle) / sigma;
            return new Strip(LogNormal(u) - Math.Log(sigma), -u / sigma, middle + SquareVariance * alpha / sigma * u);
        }
        double fromLow = (x - alpha * low) / sigma, fromHigh = (x - alpha * high) / sigma;
        double logMass = LogInterval(fromHigh, fromLow);
        double slope = (Math.Exp(LogNormal(fromLow) - logMass) - Math.Exp(LogNormal(fromHigh) - logMass)) / sigma;
        return new Strip(logMass - Math.Log(alpha), slope, (x + sigma * sigma * slope) / alpha);
    }

    private static double LogNormal(double u) => -0.5 * (u * u + Math.Log(2 * Math.PI));

    /// <summary>ln(Phi(high) - Phi(low)), from the tails on the side where both are small.</summary>
    private static double LogInterval(double low, double high)
    {
        if (low < 0 && high > 0)
            return Math.Log(1 - Math.Exp(LogTail(-low)) - Math.Exp(LogTail(high)));
        double near = low >= 0 ? LogTail(low) : LogTail(-high), far = low >= 0 ? LogTail(high) : LogTail(-low);
        return near + Math.Log(1 - Math.Exp(far - near));
    }

    /// <summary>ln(1 - Phi(u)).</summary>
    private static double LogTail(double u) => SpecialFunctions.LogErfC(u / Math.Sqrt(2)) - Math.Log(2);
}
