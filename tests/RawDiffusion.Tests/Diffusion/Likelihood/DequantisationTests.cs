using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Vae;
using RawDiffusion.Nn;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests.Diffusion.Likelihood;

/// <summary>
/// Pairs of whole numbers below 8, distributed as the bins of a mixture of Gaussians are filled: the density, the probability of each pair
/// and the entropy are known.
/// </summary>
public class DequantisationTests
{
    private const int Levels = 8, Dimensions = 2;

    // Narrower than a bin of 0.25, and not in the middle of bins: a uniform u is a poor choice.
    private static readonly GaussianMixture s_density = new(
        new GaussianComponent(new Point2(-0.3, 0.45), 0.06, 0.5), new GaussianComponent(new Point2(0.4, -0.2), 0.1, 0.3),
        new GaussianComponent(new Point2(0.55, 0.6), 0.04, 0.2));

    private static readonly double[] s_probability = Probabilities();

    /// <summary>Of the pairs, in bits per dimension.</summary>
    private static readonly double s_entropy = BitsPerDimension.Of(-s_probability.Where(p => p > 0).Sum(p => p * Math.Log(p)), Dimensions);

    private static double[] Probabilities()
    {
        var result = new double[Levels * Levels];
        for (int i = 0; i < result.Length; i++)
        {
            foreach (var component in s_density.Components)
                result[i] += component.Weight * Mass(component.Mean.X, component.StandardDeviation, i / Levels) * Mass(component.Mean.Y, component.StandardDeviation, i % Levels);
        }
        return result;

        static double Mass(double mean, double deviation, int bin) =>
            MathNet.Numerics.Distributions.Normal.CDF(mean, deviation, 2.0 * (bin + 1) / Levels - 1)
            - MathNet.Numerics.Distributions.Normal.CDF(mean, deviation, 2.0 * bin / Levels - 1);
    }

    /// <summary>Points of the density and the pairs whose bins they lie in.</summary>
    private static (Tensor Points, Tensor Values) Pairs(int count, ulong seed)
    {
        var points = s_density.Sample(count, new Generator(seed), Device.Reference);
        return (points, Tensor.From(Array.ConvertAll(points.ToDoubleArray(), y => Math.Floor((y + 1) * Levels / 2)), points.Shape, Device.Reference));
    }

    private static double Probability(double[] values, int i) => s_probability[(int)values[2 * i] * Levels + (int)values[2 * i + 1]];

    [Fact]
    public void The_bins_hold_all_of_the_density() => Assert.Equal(1, s_probability.Sum(), 1e-5);

    [Fact]
    public void With_the_density_within_the_bin_every_draw_gives_the_probability()
    {
        // q(u | x) = p(x + u) / P(x): the points themselves are draws of it, so the bound is -ln P(x), offset and all.
        var (points, values) = Pairs(200, 1);
        double[] whole = values.ToDoubleArray();
        double[] actual = DequantisedBound.Evaluate(y => s_density.LogDensity(y), values, Levels, new Exact(points), new Generator(2)).ToDoubleArray();
        for (int i = 0; i < actual.Length; i++)
            Assert.Equal(-Math.Log(Probability(whole, i)), actual[i], 1e-9);
    }

    private sealed class Exact(Tensor points) : Dequantisation
    {
        public override (Tensor U, Tensor LogDensity) Draw(Tensor values, NoiseSource noise)
        {
            double[] whole = values.ToDoubleArray();
            double[] logarithms = s_density.LogDensity(points).ToDoubleArray();
            for (int i = 0; i < logarithms.Length; i++)
                logarithms[i] -= Math.Log(Probability(whole, i)) + Dimensions * Math.Log(Levels / 2.0);
            return ((points + 1) * (Levels / 2.0) - values, Tensor.From(logarithms, [logarithms.Length], values.Device));
        }
    }

    [Fact]
    public void A_learned_place_in_the_bin_gives_fewer_bits_than_any_place_alike_and_never_fewer_than_the_entropy()
    {
        // What a uniform u loses is KL(U || p(u | x)), here by a fine grid within each bin.
        double expected = UniformBits();
        var (_, values) = Pairs(20_000, 3);
        values = values.To(Device.Cpu);
        double uniform = DequantisedBound.Bits(y => s_density.LogDensity(y), values, Levels, Dequantisation.Uniform(new Generator(4)), new Generator(5));
        // Four standard errors of 20,000 draws, whose deviation is about 2 bits.
        Assert.Equal(expected, uniform, 0.06);

        var learned = Learn();
        double variational = DequantisedBound.Bits(y => s_density.LogDensity(y), values, Levels, learned, new Generator(6));
        // The best that sigmoids of Gaussians can do about Gaussians that bins cut off is 0.047 bits above the entropy (by quadrature); the rest of a
        // tenth is for training. 0.03: the scatter of the entropy of 20,000 pairs.
        Assert.InRange(variational, s_entropy - 0.03, s_entropy + 0.1 * (expected - s_entropy));
    }

    [Fact]
    public void The_flow_of_a_diffusion_model_is_bounded_alike()
    {
        var process = new CosineSchedule();
        var denoiser = s_density.DifferentiableDenoiser(process);
        double start = process.TimeOf(1e-3);
        var (_, values) = Pairs(300, 7);
        Tensor Flow(Tensor y) => FlowLikelihood.Evaluate(denoiser, y, start, new OdeTolerance(1e-5, 1e-5)).LogLikelihood;
        double byFlow = DequantisedBound.Bits(Flow, values, Levels, Dequantisation.Uniform(new Generator(8)), new Generator(9));
        double exact = DequantisedBound.Bits(y => s_density.LogDensity(y), values, Levels, Dequantisation.Uniform(new Generator(8)), new Generator(9));
        // The same draws: what differs is the solver's error and the noise of the start.
        Assert.Equal(exact, byFlow, 0.02);
    }

    [Fact]
    public void Without_dequantisation_a_density_undercuts_the_entropy_and_with_it_never()
    {
        // One number of 256, all equally likely: 8 bits. The density is a narrow peak in each bin, which bits without u reward.
        const int Bytes = 256;
        const double Width = 0.01 / Bytes;
        var values = Tensor.From(Enumerable.Range(0, Bytes).Select(i => (double)i).ToArray(), [Bytes, 1], Device.Reference);
        var centres = (values + 0.5) * (2.0 / Bytes) - 1;
        Tensor Peaks(Tensor y) => ((y - centres).Square() * (-0.5 / (Width * Width)) - Math.Log(Bytes * Width * Math.Sqrt(2 * Math.PI))).Reshape(Bytes);
        double naive = BitsPerDimension.OfDequantisedBytes(-Peaks(centres).Mean().Item(), 1);
        Assert.True(naive < 8 - 3, $"{naive} bits for what has 8");
        Assert.True(DequantisedBound.Bits(Peaks, values, Bytes, Dequantisation.Uniform(new Generator(1)), new Generator(2)) > 8);
        // The best q for such a density is as narrow as it is, and gives the 8 bits and no fewer.
        var narrow = Dequantisation.Variational(x => new DiagonalGaussian(x * 0, Tensor.Full([1], 2 * Math.Log(4 * Bytes / 2 * Width), x.Device)));
        Assert.Equal(8, DequantisedBound.Bits(Peaks, values, Bytes, narrow, new Generator(3)), 0.01);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(8)]
    [InlineData(256)]
    public void A_density_that_knows_nothing_costs_the_logarithm_of_the_levels(int levels)
    {
        var values = Tensor.RandInt(new Generator(1), 0, levels, [50, 3], Device.Reference).ToInt32Array();
        var x = Tensor.From(Array.ConvertAll(values, value => (double)value), [50, 3], Device.Reference);
        Tensor Flat(Tensor y) => (y * 0).Sum(1) - 3 * Math.Log(2);
        Assert.Equal(Math.Log2(levels), DequantisedBound.Bits(Flat, x, levels, Dequantisation.Uniform(new Generator(2)), new Generator(3)), 1e-12);
        if (levels == 256)
            Assert.Equal(Math.Log2(levels), BitsPerDimension.OfDequantisedBytes(3 * Math.Log(2), 3), 1e-12);
    }

    [Fact]
    public void One_level_is_refused() => Assert.Contains("not 1", Assert.Throws<ArgumentOutOfRangeException>(
        () => DequantisedBound.Evaluate(y => y, Tensor.Zeros([1, 1]), 1, Dequantisation.Uniform(new Generator(1)), new Generator(2))).Message);

    /// <summary>Trains q on the score of the diffusion model alone.</summary>
    private static Dequantisation Learn()
    {
        var process = new CosineSchedule();
        var slope = DequantisedBound.ScoreSlope(s_density.Denoiser(process), process.TimeOf(1e-3));
        var generator = new Generator(10);
        // A Gaussian for each of the 64 pairs.
        var table = new Embedding(Levels * Levels, 2 * Dimensions, generator);
        var dequantisation = Dequantisation.Variational(pairs =>
        {
            double[] whole = pairs.ToDoubleArray();
            int[] rows = [.. Enumerable.Range(0, whole.Length / 2).Select(i => (int)whole[2 * i] * Levels + (int)whole[2 * i + 1])];
            var parts = table.Forward(Tensor.From(rows, [rows.Length], pairs.Device)).Chunk(2, axis: 1);
            return new DiagonalGaussian(parts[0], parts[1]);
        });
        var optimizer = new Adam(table, 0.05);
        const int Steps = 500, Batch = 256;
        var (_, values) = Pairs(Steps * Batch, 11);
        values = values.To(Device.Cpu);
        for (int step = 0; step < Steps; step++)
        {
            using var scope = new MemoryScope();
            optimizer.ZeroGrad();
            DequantisedBound.Evaluate(slope, values.Slice(0, Batch * step, Batch), Levels, dequantisation, generator).Mean().Backward();
            optimizer.LearningRate = 0.05 * Schedule.Cosine(step, Steps);
            optimizer.Step();
        }
        return dequantisation;
    }

    private static double UniformBits()
    {
        const int Fine = 32;
        double nats = 0;
        for (int i = 0; i < s_probability.Length; i++)
        {
            for (int k = 0; k < Fine * Fine; k++)
            {
                double x = (i / Levels + (k / Fine + 0.5) / Fine) * 2 / Levels - 1, y = (i % Levels + (k % Fine + 0.5) / Fine) * 2 / Levels - 1;
                nats -= s_probability[i] * (s_density.LogDensity(new Point2(x, y)) - Dimensions * Math.Log(Levels / 2.0)) / (Fine * Fine);
            }
        }
        return BitsPerDimension.Of(nats, Dimensions);
    }
}
