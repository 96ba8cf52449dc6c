using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Markov;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>Bit-flip diffusion of black and white digits, drawn ones and handwritten ones, against pixels that know nothing of each other.</summary>
public sealed class BinomialDigitsStudy : Study
{
    // A network is trained on many small steps and may be asked about any number: it is told t / T.
    private const int FinestSteps = 1000;

    public override string Name => "binomial-digits";

    public override string Lesson => "Flipping bits learn pictures too: the bound on black and white digits is far below what independent pixels need.";

    public override bool NeedsImages => true;

    private static UNet2DConfig Network { get; } = new()
    {
        InChannels = 1,
        OutChannels = 1,
        BlockOutChannels = [16, 32, 32],
        DownBlockTypes = ["DownBlock2D", "DownBlock2D", "DownBlock2D"],
        UpBlockTypes = ["UpBlock2D", "UpBlock2D", "UpBlock2D"],
        LayersPerBlock = 1,
        NormNumGroups = 8,
    };

    public override void Run(StudyContext context)
    {
        Digits(context, context.Models.Data("digits"));
        ITrainingData? mnist = null;
        try
        {
            mnist = context.Models.Data("mnist");
        }
        catch (IOException e)
        {
            context.Reporter.Line($"without MNIST: {e.Message}");
        }
        if (mnist is not null)
            Digits(context, mnist);
    }

    private static void Digits(StudyContext context, ITrainingData source)
    {
        var data = new BinarisedData(source);
        var network = context.Models.Trained(
            data.Name, new UNet2D(Network, new Generator(0, RandomStreams.Weights), context.Device), untrained => Train(context, data, untrained));
        int count = context.Count(100, 16), steps = context.Count(100, 20);
        var heldOut = data.HeldOut.Draw(0, count, 0, context.Device).X;
        double[] independent = IndependentPixels(data, heldOut, context);
        var (chain, reverse) = Chain(network, steps, context);
        var terms = MarkovBound.Evaluate(chain, reverse, heldOut, new Generator(1));
        int pixels = heldOut.Count / count;
        var bySteps = new JsonObject();
        foreach (int n in new[] { steps / 20, steps / 5, steps })
        {
            context.ThrowIfStopped();
            var (other, otherReverse) = Chain(network, n, context);
            bySteps[$"{n}"] = n == steps ? terms.Total : MarkovBound.Evaluate(other, otherReverse, heldOut, new Generator(1)).Total;
        }
        context.Number(source.Name, new JsonObject
        {
            ["held-out images"] = count,
            ["bound (nats per image)"] = terms.Total,
            ["standard error"] = terms.StandardError,
            ["bound (bits per pixel)"] = BitsPerDimension.Of(terms.Total, pixels),
            ["independent pixels (nats per image)"] = independent.Average(),
            ["independent pixels (bits per pixel)"] = BitsPerDimension.Of(independent.Average(), pixels),
            ["bound by number of steps (nats per image)"] = bySteps,
        });
        context.AtMost($"{source.Name}: bound in {steps} steps, as a part of what independent pixels need", terms.Total / independent.Average(), 0.8);
        PlotTerms(context, source.Name, terms);
        Pictures(context, source.Name, chain, reverse, heldOut);
    }

    private static (BinomialChain Chain, StepModel<Bernoulli> Reverse) Chain(UNet2D network, int steps, StudyContext context)
    {
        var chain = new BinomialChain(MarkovSchedule.EqualShares(steps), context.Device);
        return (chain, chain.Reverse(chain.X0Model((x, t) => network.Forward(x, t))));
    }

    private static UNet2D Train(StudyContext context, BinarisedData data, UNet2D network)
    {
        var training = new TrainingConfig { Steps = context.Count(1000, 30), Batch = 64, LearningRate = 2e-3, EmaDecay = 0.995 };
        var (chain, reverse) = Chain(network, FinestSteps, context);
        var generator = new Generator(0, RandomStreams.Noise);
        Trainer.Fit(
            TrainingState.New(network, WeightFiles.Plain(network), training, ("noise", generator)), training,
            new DataBatches(data, 0, context.Device, samples => new MarkovBatch<Bernoulli>(chain, reverse, samples.X, generator)).Next,
            context.Reporter, data.Name, context.Stop);
        return network;
    }

    /// <summary>-ln p of held-out images by how often each pixel is white in the training data, nats per image. Each has been seen once in both colours more.</summary>
    private static double[] IndependentPixels(BinarisedData data, Tensor heldOut, StudyContext context)
    {
        int count = context.Count(20_000, 2_000);
        var white = (data.Draw(0, count, 0, context.Device).X.Gt(0).Sum(0, keepDims: true) + 1) * (1.0 / (count + 2));
        Tensor up = white.BroadcastTo(heldOut.Shape), down = 1 - up;
        return (-new Bernoulli(up, down).LogProbability(heldOut)).ToDoubleArray();
    }

    private static void PlotTerms(StudyContext context, string name, BoundTerms terms)
    {
        var figure = new Figure { PanelWidth = 520, PanelHeight = 320 };
        var axes = figure.AddAxes($"{name}: terms of the bound");
        (axes.XLabel, axes.YLabel) = ("step t / T", "nats per image and unit of t / T");
        double[] all = [.. terms.Steps, terms.Reconstruction];
        axes.Plot([.. all.Select((_, i) => (all.Length - i - 0.5) / all.Length)], [.. all.Select(term => term * all.Length)]);
        context.Figure($"{name}-terms", figure);
    }

    /// <summary>Digits as they are forgotten and as they come about, and samples.</summary>
    private static void Pictures(StudyContext context, string name, BinomialChain chain, StepModel<Bernoulli> reverse, Tensor heldOut)
    {
        const int Side = 8, Rows = 3, Moments = 11;
        int[] steps = [.. Enumerable.Range(0, Moments).Select(i => i * chain.Steps / (Moments - 1))];
        // What a callback makes goes with the memory scope of its step; arrays stay.
        var made = new Dictionary<int, float[]>();
        var samples = chain.Sample(reverse, heldOut.Shape.With(0, Side * Side), new Generator(2), (t, x) =>
        {
            if (steps.Contains(t))
                made[t] = x.Slice(0, 0, Rows).ToArray();
        });
        context.Images($"{name}-samples", samples, new ImageGrid { Columns = Side, Zoom = 2 });
        var forgotten = steps.ToDictionary(t => t, t => chain.Marginal(heldOut.Slice(0, 0, Rows), chain.Step(t)).Sample(new Generator(3, (ulong)t)).ToArray());
        int size = heldOut.Count / heldOut.Shape[0];
        var pixels = new[] { forgotten, made }.SelectMany(states => Enumerable.Range(0, Rows).SelectMany(row => steps.SelectMany(t => states[t].Skip(row * size).Take(size))));
        context.Images($"{name}-chain", Tensor.From(pixels.ToArray(), heldOut.Shape.With(0, 2 * Rows * Moments)), new ImageGrid
        {
            Columns = Moments,
            Zoom = 3,
            Captions = [.. Enumerable.Range(0, 2 * Rows * Moments).Select(i =>
                FormattableString.Invariant($"{(i / Moments < Rows ? "q" : "p")}, {(double)(i % Moments) / (Moments - 1)} T"))],
        });
    }
}
