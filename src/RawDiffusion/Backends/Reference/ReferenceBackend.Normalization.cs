namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void GroupNorm(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd)
    {
        int channelsPerGroup = g.Channels / g.Groups;
        Span<double> xs = D(x), ys = D(y), gammas = D(gamma), betas = D(beta), means = D(mean), rstds = D(rstd);
        for (int n = 0; n < g.Batch; n++)
        {
            for (int group = 0; group < g.Groups; group++)
            {
                double sum = 0, squares = 0;
                for (int s = 0; s < g.Spatial; s++)
                {
                    for (int c = group * channelsPerGroup; c < (group + 1) * channelsPerGroup; c++)
                        sum += xs[(n * g.Spatial + s) * g.Channels + c];
                }
                int count = Math.Max(1, g.Spatial * channelsPerGroup);
                double m = sum / count;
                for (int s = 0; s < g.Spatial; s++)
                {
                    for (int c = group * channelsPerGroup; c < (group + 1) * channelsPerGroup; c++)
                        squares += Math.Pow(xs[(n * g.Spatial + s) * g.Channels + c] - m, 2);
                }
                double r = 1 / Math.Sqrt(squares / count + g.Epsilon);
                means[n * g.Groups + group] = m;
                rstds[n * g.Groups + group] = r;
                for (int s = 0; s < g.Spatial; s++)
                {
                    for (int c = group * channelsPerGroup; c < (group + 1) * channelsPerGroup; c++)
                    {
                        int i = (n * g.Spatial + s) * g.Channels + c;
                        double z = (xs[i] - m) * r * gammas[c] + betas[c];
                        ys[i] = silu ? z / (1 + Math.Exp(-z)) : z;
                    }
                }
            }
        }
    }

    // With xhat = (x - mean) rstd, z = gamma xhat + beta and h = gz gamma, m(.) the mean over a sample's group:
    // gx = rstd (h - m(h) - xhat m(h xhat)), because mean and rstd depend on every x of the group.
    public override void GroupNormGrad(
        in GroupNormGeometry g, bool silu, Storage x, Storage gamma, Storage beta, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta)
    {
        int channelsPerGroup = g.Channels / g.Groups;
        Span<double> xs = D(x), gys = D(gy), gxs = D(gx), gammas = D(gamma), betas = D(beta), gGammas = D(gGamma), gBetas = D(gBeta);
        gGammas.Clear();
        gBetas.Clear();
        for (int n = 0; n < g.Batch; n++)
        {
            for (int group = 0; group < g.Groups; group++)
            {
                double m = D(mean)[n * g.Groups + group], r = D(rstd)[n * g.Groups + group];
                double sumH = 0, sumHXhat = 0;
                int count = g.Spatial * channelsPerGroup;
                for (int s = 0; s < g.Spatial; s++)
                {
                    for (int c = group * channelsPerGroup; c < (group + 1) * channelsPerGroup; c++)
                    {
                        int i = (n * g.Spatial + s) * g.Channels + c;
                        double xhat = (xs[i] - m) * r;
                        double z = xhat * gammas[c] + betas[c];
                        double gz = silu ? gys[i] * SiluDerivative(z) : gys[i];
                        gGammas[c] += gz * xhat;
                        gBetas[c] += gz;
                        sumH += gz * gammas[c];
                        sumHXhat += gz * gammas[c] * xhat;
                        gxs[i] = gz;
                    }
                }
                for (int s = 0; s < g.Spatial; s++)
                {
                    for (int c = group * channelsPerGroup; c < (group + 1) * channelsPerGroup; c++)
                    {
                        int i = (n * g.Spatial + s) * g.Channels + c;
                        double xhat = (xs[i] - m) * r;
                        gxs[i] = r * (gxs[i] * gammas[c] - sumH / count - xhat * sumHXhat / count);
                    }
                }
            }
        }
    }

    public override void LayerNorm(in LayerNormGeometry g, Storage x, Storage gamma, Storage beta, Storage y, Storage mean, Storage rstd)
    {
        Span<double> xs = D(x), ys = D(y), gammas = D(gamma), betas = D(beta);
        for (int row = 0; row < g.Rows; row++)
        {
            double sum = 0, squares = 0;
            for (int c = 0; c < g.Columns; c++)
                sum += xs[row * g.Columns + c];
            double m = sum / Math.Max(1, g.Columns);
            for (int c = 0; c < g.Columns; c++)
                squares += Math.Pow(xs[row * g.Columns + c] - m, 2);
            double r = 1 / Math.Sqrt(squares / Math.Max(1, g.Columns) + g.Epsilon);
            D(mean)[row] = m;
            D(rstd)[row] = r;
            for (int c = 0; c < g.Columns; c++)
                ys[row * g.Columns + c] = (xs[row * g.Columns + c] - m) * r * gammas[c] + betas[c];
        }
    }

    public override void LayerNormGrad(
        in LayerNormGeometry g, Storage x, Storage gamma, Storage mean, Storage rstd, Storage gy,
        Storage gx, Storage gGamma, Storage gBeta)
    {
        Span<double> xs = D(x), gys = D(gy), gxs = D(gx), gammas = D(gamma), gGammas = D(gGamma), gBetas = D(gBeta);
        gGammas.Clear();
        gBetas.Clear();
        for (int row = 0; row < g.Rows; row++)
        {
            double m = D(mean)[row], r = D(rstd)[row];
            double sumH = 0, sumHXhat = 0;
            for (int c = 0; c < g.Columns; c++)
            {
                int i = row * g.Columns + c;
                double xhat = (xs[i] - m) * r;
                gGammas[c] += gys[i] * xhat;
                gBetas[c] += gys[i];
                sumH += gys[i] * gammas[c];
                sumHXhat += gys[i] * gammas[c] * xhat;
            }
            for (int c = 0; c < g.Columns; c++)
            {
                int i = row * g.Columns + c;
                double xhat = (xs[i] - m) * r;
                gxs[i] = r * (gys[i] * gammas[c] - sumH / g.Columns - xhat * sumHXhat / g.Columns);
            }
        }
    }

    private static double SiluDerivative(double z)
    {
        double sigmoid = 1 / (1 + Math.Exp(-z));
        return sigmoid * (1 + z * (1 - sigmoid));
    }
}
