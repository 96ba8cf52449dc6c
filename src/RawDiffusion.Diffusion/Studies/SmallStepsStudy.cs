using System.Text.Json.Nodes;
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
    private const double ModeDistance = 1, ModeDeviation = 0.1, Observed = 0.15, Noise = 0.8;
    private const int GridPoints = 4001;
    private const double GridReach = 6;

    public override string Name => "small-steps";

    public override string Lesson => "The exact reverse step of a mixture is far from a Gaussian when the step is large and near one when it is small: hence many steps.";

    public override void Run(StudyContext context)
    {
        double[] betas = [0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
        var divergences = new double[betas.Length];
        var shapes = new Figure { Columns = 3, PanelWidth = 260, PanelHeight = 220, Title = "the exact reverse step and the Gaussian of its mean and variance" };
        for (int i = 0; i < betas.Length; i++)
        {
            var (x, exact, gaussian) = ReverseStep(betas[i]);
            divergences[i] = Divergence(exact, gaussian, x[1] - x[0]);
            if (betas[i] is not (0.9 or 0.2 or 0.01))
                continue;
            var axes = shapes.AddAxes(FormattableString.Invariant($"beta = {betas[i]}"));
            axes.Plot(x, exact, "exact");
            axes.Plot(x, gaussian, "Gaussian", dashed: true);
            double mean = x.Zip(exact, (a, p) => a * p).Sum() * (x[1] - x[0]);
            double deviation = Math.Sqrt(x.Zip(exact, (a, p) => (a - mean) * (a - mean) * p).Sum() * (x[1] - x[0]));
            axes.XLimits = (mean - 4 * deviation, mean + 4 * deviation);
        }
        context.Figure("reverse-steps", shapes);
        var figure = new Figure();
        var plot = figure.AddAxes("distance from a Gaussian");
        plot.LogY = true;
        (plot.XLabel, plot.YLabel) = ("log10 of beta", "KL divergence (nat)");
        plot.Plot([.. betas.Select(Math.Log10)], divergences);
        context.Figure("divergence", figure);
        context.Number("divergence by beta", new JsonObject(betas.Select((b, i) =>
            KeyValuePair.Create(b.ToString(System.Globalization.CultureInfo.InvariantCulture), (JsonNode?)JsonValue.Create(divergences[i])))));
        bool falls = true;
        for (int i = 1; i < betas.Length; i++)
            falls &= divergences[i] < divergences[i - 1];
        context.Judge("the divergence falls with beta", falls ? "at every step" : "not always", "at every step", falls);
        context.AtMost("divergence at beta 0.001 (nat)", divergences[^1], 1e-3);
        // The step's width is sqrt(beta), so what the third derivative of ln p(x_s) adds to its shape is of order beta^(3/2), and a divergence
        // is of the order of the square.
        double order = Math.Log(divergences[^4] / divergences[^1]) / Math.Log(betas[^4] / betas[^1]);
        context.Near("order in beta at small beta", order, 3, 0.3);
    }

    /// <summary>p(x_s | x_t) on a grid, and the Gaussian of its mean and variance.</summary>
    private static (double[] X, double[] Exact, double[] Gaussian) ReverseStep(double beta)
    {
        // x_s has the noise level for which x_t = sqrt(1 - beta) x_s + sqrt(beta) z has the level Noise.
        double ratio = Math.Sqrt(1 - beta), sigmaT2 = Noise * Noise, alphaT = Math.Sqrt(1 - sigmaT2);
        double alphaS = Math.Min(1, alphaT / ratio), sigmaS2 = 1 - alphaS * alphaS;
        var mixture = new GaussianMixture(
            new GaussianComponent(new Point2(-ModeDistance, 0), ModeDeviation, 0.5), new GaussianComponent(new Point2(ModeDistance, 0), ModeDeviation, 0.5));
        double[] x = new double[GridPoints], exact = new double[GridPoints], gaussian = new double[GridPoints];
        double step = 2 * GridReach / (GridPoints - 1), effective = 1 - Math.Pow(alphaT / alphaS, 2);
        for (int i = 0; i < GridPoints; i++)
        {
            x[i] = -GridReach + i * step;
            // The second coordinate is independent and at its mean: it only scales.
            double prior = mixture.LogDensity(new Point2(x[i], 0), alphaS, Math.Sqrt(Math.Max(sigmaS2, 0)));
            double forward = -Math.Pow(Observed - alphaT / alphaS * x[i], 2) / (2 * effective);
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
