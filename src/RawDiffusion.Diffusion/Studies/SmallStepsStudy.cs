using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Plots;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>
/// Why a chain of Gaussians can undo noise: the true reverse step p(x_s | x_t) of a mixture is no Gaussian, but becomes one as the step's
/// beta goes to 0 (Sohl-Dickstein et al. 2015, after Feller 1949). On a line everything is an integral.
/// </summary>
public sealed class SmallStepsStudy : Study
{
    // Two narrow modes, one noisy observation between them.
    private const double ModeDistance = 1, ModeDeviation = 0.1, Observed = 0.15, Noise = 0.8, AllNoise = Noise * Noise;
    private const int GridPoints = 4001;
    private const double GridReach = 6;

    private static readonly GaussianMixture s_mixture = new(
        new GaussianComponent(new Point2(-ModeDistance, 0), ModeDeviation, 0.5), new GaussianComponent(new Point2(ModeDistance, 0), ModeDeviation, 0.5));

    public override string Name => "small-steps";

    public override string Lesson => "The exact reverse step of a mixture is far from a Gaussian when the step is large and near one when it is small: hence many steps.";

    public override void Run(StudyContext context)
    {
        // The first goes back to the data at once.
        double[] betas = [AllNoise, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
        double[] divergences = new double[betas.Length], means = new double[betas.Length];
        var shapes = new Figure { Columns = 3, PanelWidth = 260, PanelHeight = 220, Title = "the exact reverse step and the Gaussian of its mean and variance" };
        for (int i = 0; i < betas.Length; i++)
        {
            context.ThrowIfStopped();
            var (x, exact, gaussian) = ReverseStep(betas[i], Observed);
            divergences[i] = Divergence(exact, gaussian, x[1] - x[0]);
            means[i] = MeanOverStates(state =>
            {
                var step = ReverseStep(betas[i], state);
                return Divergence(step.Exact, step.Gaussian, step.X[1] - step.X[0]);
            });
            if (betas[i] is not (AllNoise or 0.5 or 0.1))
                continue;
            var axes = shapes.AddAxes(FormattableString.Invariant($"beta = {betas[i]:0.##}"));
            axes.Plot(x, exact, "exact");
            axes.Plot(x, gaussian, "Gaussian", dashed: true);
            double mean = x.Zip(exact, (a, p) => a * p).Sum() * (x[1] - x[0]);
            double deviation = Math.Sqrt(x.Zip(exact, (a, p) => (a - mean) * (a - mean) * p).Sum() * (x[1] - x[0]));
            axes.XLimits = (mean - 4 * deviation, mean + 4 * deviation);
            (axes.XLabel, axes.YLabel) = ("x_s", "density");
        }
        context.Figure("reverse-steps", shapes);
        double skewness = MeanOverStates(state => Math.Pow(ThirdDerivative(state), 2) / 12);
        var figure = new Figure { PanelWidth = 480 };
        var plot = figure.AddAxes("distance of the exact reverse step from a Gaussian");
        (plot.LogX, plot.LogY) = (true, true);
        (plot.XLabel, plot.YLabel) = ("beta", "KL divergence (nat)");
        plot.Plot(betas, divergences, FormattableString.Invariant($"at x_t = {Observed}"));
        plot.Plot(betas, means, "mean over x_t");
        plot.Plot(betas, [.. betas.Select(beta => skewness * Math.Pow(beta, 3))], "law of small beta", Color.Ink, dashed: true);
        context.Figure("divergence", figure);
        context.Numbers("divergence by beta", betas, divergences);
        context.Numbers("divergence by beta, mean over x_t", betas, means);
        bool falls = true;
        for (int i = 1; i < betas.Length; i++)
            falls &= divergences[i] < divergences[i - 1];
        context.Judge("the divergence falls with beta", falls ? "at every step" : "not always", "at every step", falls);
        context.AtMost("divergence at beta 0.001 (nat)", divergences[^1], 1e-3);
        // The step's width is sqrt(beta), so what the third derivative of ln p(x_s) adds to its shape is of order beta^(3/2), and a divergence
        // is of the order of the square.
        double order = Math.Log(divergences[^4] / divergences[^1]) / Math.Log(betas[^4] / betas[^1]);
        context.Near("order in beta at small beta", order, 3, 0.3);
        // The third cumulant of the step is beta^3 times the third derivative l of ln q, its variance beta, and the divergence of a skew
        // distribution from a Gaussian the third cumulant squared over 12 times the variance cubed: beta^3 l^2 / 12. So T steps of a beta like
        // 1 / T together cost 1 / T^2.
        context.Near("mean divergence at beta 0.001 over beta^3 / 12 times the mean square of the third derivative of ln q", means[^1] / (skewness * 1e-9), 1, 0.1);
    }

    /// <summary>The mean of something over x_t at the level of noise.</summary>
    private static double MeanOverStates(Func<double, double> value)
    {
        double sum = 0, weights = 0;
        for (int i = -30; i <= 30; i++)
        {
            double weight = Math.Exp(LogDensity(0.1 * i, Math.Sqrt(1 - Noise * Noise), Noise));
            sum += weight * value(0.1 * i);
            weights += weight;
        }
        return sum / weights;
    }

    /// <summary>Of ln q(x_t), by differences.</summary>
    private static double ThirdDerivative(double x)
    {
        const double H = 0.01;
        double L(double at) => LogDensity(at, Math.Sqrt(1 - Noise * Noise), Noise);
        return (L(x + 2 * H) - 2 * L(x + H) + 2 * L(x - H) - L(x - 2 * H)) / (2 * H * H * H);
    }

    /// <summary>ln q of the first coordinate, up to a constant: the second is independent and at its mean.</summary>
    private static double LogDensity(double x, double alpha, double sigma) => s_mixture.LogDensity(new Point2(x, 0), alpha, sigma);

    /// <summary>p(x_s | x_t) on a grid, and the Gaussian of its mean and variance.</summary>
    private static (double[] X, double[] Exact, double[] Gaussian) ReverseStep(double beta, double observed)
    {
        // x_s has the noise level for which x_t = sqrt(1 - beta) x_s + sqrt(beta) z has the level Noise.
        double ratio = Math.Sqrt(1 - beta), sigmaT2 = Noise * Noise, alphaT = Math.Sqrt(1 - sigmaT2);
        double alphaS = Math.Min(1, alphaT / ratio), sigmaS2 = 1 - alphaS * alphaS;
        double[] x = new double[GridPoints], exact = new double[GridPoints], gaussian = new double[GridPoints];
        double step = 2 * GridReach / (GridPoints - 1), effective = 1 - Math.Pow(alphaT / alphaS, 2);
        for (int i = 0; i < GridPoints; i++)
        {
            x[i] = -GridReach + i * step;
            double prior = LogDensity(x[i], alphaS, Math.Sqrt(Math.Max(sigmaS2, 0)));
            double forward = -Math.Pow(observed - alphaT / alphaS * x[i], 2) / (2 * effective);
            exact[i] = prior + forward;
        }
        Normalize(exact, step);
        double mean = 0, variance = 0;
        for (int i = 0; i < GridPoints; i++)
            mean += x[i] * exact[i] * step;
        for (int i = 0; i < GridPoints; i++)
            variance += (x[i] - mean) * (x[i] - mean) * exact[i] * step;
        for (int i = 0; i < GridPoints; i++)
            gaussian[i] = Math.Exp(-(x[i] - mean) * (x[i] - mean) / (2 * variance)) / Math.Sqrt(2 * Math.PI * variance);
        return (x, exact, gaussian);
    }

    private static void Normalize(double[] logs, double step)
    {
        double largest = logs.Max(), sum = 0;
        for (int i = 0; i < logs.Length; i++)
            sum += logs[i] = Math.Exp(logs[i] - largest);
        for (int i = 0; i < logs.Length; i++)
            logs[i] /= sum * step;
    }

    private static double Divergence(double[] p, double[] q, double step)
    {
        double sum = 0;
        for (int i = 0; i < p.Length; i++)
        {
            if (p[i] > 1e-300 && q[i] > 1e-300)
                sum += p[i] * Math.Log(p[i] / q[i]) * step;
        }
        return sum;
    }
}
