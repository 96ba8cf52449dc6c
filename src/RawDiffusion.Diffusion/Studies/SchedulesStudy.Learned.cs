using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Studies;

public sealed partial class SchedulesStudy
{
    private const int Bins = 60, ScheduleEvery = 4;

    /// <summary>A schedule that is trained beside the denoiser, on the losses that this makes anyway.</summary>
    /// <returns>That of the first seed.</returns>
    private static LearnedSchedule Learned(StudyContext context)
    {
        LearnedSchedule? first = null;
        double worstRatio = 0, worstToBest = 0, apart = 0;
        foreach (ulong seed in context.Seeds)
        {
            var generator = new Generator(seed, 53);
            var model = new MlpDenoiser(generator, context.Device);
            var schedule = new MonotoneLogSnr();
            LearnedSchedule start = schedule.Snapshot();
            var optimizer = new Adam(schedule, 0.02);
            int step = 0;
            PointTraining.Learn(model, context.Count(4000, 400), context, () =>
            {
                var now = schedule.Snapshot();
                var batch = Batch(model, now, TimeSampler.Uniform(now, 0), PointTraining.Draw(s_data, generator, context.Device), generator, TimeSpread.Even);
                var losses = batch.Losses(batch.Draw(batch.Inputs));
                if (++step % ScheduleEvery == 0)
                {
                    optimizer.ZeroGrad();
                    ScheduleVariance.Objective(schedule, now, batch.Times, losses.Detach().ToDoubleArray()).Backward();
                    optimizer.Step();
                }
                return losses.Mean();
            });
            var end = schedule.Snapshot();
            first ??= end;
            var (ratio, toBest, distance) = Compare(context, model, start, end, seed);
            (worstRatio, worstToBest, apart) = (Math.Max(worstRatio, ratio), Math.Max(worstToBest, toBest), Math.Max(apart, distance));
        }
        context.AtMost("learned schedule: variance of the estimate against that of a straight line of log-SNR, worst seed", worstRatio, 1);
        context.Number("learned schedule: mean square of the estimate against the least that any schedule can have, worst seed", worstToBest);
        context.AtMost("learned schedule: distance of the two means, in standard errors, worst seed", apart, 3);
        return first!;
    }

    private static ContinuousBatch Batch(MlpDenoiser model, LearnedSchedule process, TimeSampler times, Tensor x0, Generator generator, TimeSpread spread) => new(
        (x, t, _) => model.Forward(x, t), new Denoiser(model.Forward, process, Parameterisation.Epsilon), x0, null, times, LossWeights.Likelihood, generator, spread);

    /// <summary>How much one trained network's estimates of the bound scatter when the times are those of several schedules.</summary>
    private static (double Ratio, double ToBest, double Apart) Compare(StudyContext context, MlpDenoiser model, LearnedSchedule start, LearnedSchedule end, ulong seed)
    {
        int count = context.Count(40_000, 10_000);
        // Estimates of the bound between the ends, in nats, and the log-SNR of each.
        (double[] Estimates, double[] LogSnr) Ask(TimeSampler times)
        {
            using var scope = new MemoryScope();
            using var noGrad = new NoGrad();
            var generator = new Generator(seed, 54);
            var batch = Batch(model, start, times, s_data.Sample(count, generator).To(context.Device), generator, TimeSpread.Independent);
            double[] losses = batch.Losses(batch.Draw(batch.Inputs)).ToDoubleArray();
            return ([.. losses.Select(loss => 2 * loss)], [.. batch.Times.Select(start.LogSnr)]);
        }
        var (plain, logSnr) = Ask(TimeSampler.Uniform(start, 0));
        double[] learned = Ask(new OtherSchedule(end, start)).Estimates;
        var (mean, deviation) = Statistics.Moments(plain);
        var (learnedMean, learnedDeviation) = Statistics.Moments(learned);
        double best = Best(plain, logSnr, start, out double[] centers, out double[] density);
        if (seed == 0)
        {
            context.Number("deviation of one estimate (nat): straight line", deviation);
            context.Number("deviation of one estimate (nat): learned", learnedDeviation);
            foreach (ForwardProcess other in new ForwardProcess[] { new LinearSchedule(), new CosineSchedule(), new SigmoidSchedule() })
                context.Number($"deviation of one estimate (nat): {other.Name}", Statistics.Moments(Ask(new OtherSchedule(other, start)).Estimates).Deviation);
            context.Number("deviation of one estimate (nat): least possible", Math.Sqrt(Math.Max(0, best - mean * mean)));
            Draw(context, start, end, plain, logSnr, centers, density);
        }
        double square = learnedMean * learnedMean + learnedDeviation * learnedDeviation;
        double error = Math.Sqrt((deviation * deviation + learnedDeviation * learnedDeviation) / count);
        return (Math.Pow(learnedDeviation / deviation, 2), square / best, Math.Abs(learnedMean - mean) / error);
    }

    /// <summary>
    /// The least E[e^2] of any schedule, (integral of sqrt(q))^2 with q = E[l^2] at each log-SNR, found in bins from estimates e = gamma' l;
    /// and the density of log-SNR that has it, in proportion to sqrt(q).
    /// </summary>
    private static double Best(double[] estimates, double[] logSnr, LearnedSchedule process, out double[] centers, out double[] density)
    {
        double low = process.LogSnr(1), width = (process.LogSnr(0) - low) / Bins;
        double[] squares = new double[Bins], counts = new double[Bins];
        for (int i = 0; i < estimates.Length; i++)
        {
            int bin = Math.Clamp((int)((logSnr[i] - low) / width), 0, Bins - 1);
            double loss = estimates[i] / process.GammaDot(process.TimeOf(Math.Exp(-0.5 * logSnr[i])));
            squares[bin] += loss * loss;
            counts[bin]++;
        }
        double[] roots = [.. squares.Zip(counts, (sum, n) => n == 0 ? 0 : Math.Sqrt(sum / n))];
        double integral = roots.Sum() * width;
        centers = [.. Enumerable.Range(0, Bins).Select(i => low + (i + 0.5) * width)];
        density = [.. roots.Select(root => root / integral)];
        return integral * integral;
    }

    private static void Draw(
        StudyContext context, LearnedSchedule start, LearnedSchedule end, double[] plain, double[] logSnr, double[] centers, double[] density)
    {
        var figure = new Figure { PanelWidth = 320 };
        double[] times = [.. Enumerable.Range(0, 201).Select(i => i / 200.0)];
        var curve = figure.AddAxes("log-SNR by time");
        (curve.XLabel, curve.YLabel) = ("time", "log-SNR");
        curve.Plot(times, [.. times.Select(start.LogSnr)], "before", dashed: true);
        curve.Plot(times, [.. times.Select(end.LogSnr)], "learned");
        var where = figure.AddAxes("which log-SNR is asked about");
        (where.XLabel, where.YLabel) = ("log-SNR", "density");
        where.Plot([.. times.Select(start.LogSnr)], [.. times.Select(t => 1 / start.GammaDot(t))], "before", dashed: true);
        where.Plot([.. times.Select(end.LogSnr)], [.. times.Select(t => 1 / end.GammaDot(t))], "learned");
        where.Plot(centers, density, "best possible", width: 1);
        var losses = figure.AddAxes("estimates of the bound, straight line");
        (losses.XLabel, losses.YLabel) = ("log-SNR", "nat");
        int shown = Math.Min(4000, plain.Length);
        var points = new double[2 * shown];
        for (int i = 0; i < shown; i++)
            (points[2 * i], points[2 * i + 1]) = (logSnr[i], plain[i]);
        losses.Scatter(Tensor.From(points, [shown, 2], RawDiffusion.Device.Reference), radius: 1, alpha: 0.3);
        context.Figure("learned", figure);
    }

    /// <summary>
    /// The times at which a process has the log-SNR of another schedule's uniform times: to a denoiser a schedule is no more than a density
    /// of log-SNR.
    /// </summary>
    private sealed class OtherSchedule(ForwardProcess other, LearnedSchedule process) : TimeSampler
    {
        private readonly double _first = other.NoiseToSignal(0) > process.NoiseToSignal(0) ? 0 : other.TimeOf(process.NoiseToSignal(0));

        public override (double Time, double Density) At(double u)
        {
            double t = _first + u * (1 - _first), own = process.TimeOf(Math.Max(process.NoiseToSignal(0), other.NoiseToSignal(t)));
            // gamma' of the other: g^2 / sigma^2 of a variance-preserving process, twice the slope of ln(sigma / alpha) of any.
            double slope = 2 * (other.SigmaDot(t) / other.Sigma(t) - other.AlphaDot(t) / other.Alpha(t));
            return (own, process.GammaDot(own) / (slope * (1 - _first)));
        }
    }
}
