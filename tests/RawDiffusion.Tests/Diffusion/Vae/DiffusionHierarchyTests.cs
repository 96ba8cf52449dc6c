using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Vae;

namespace RawDiffusion.Tests.Diffusion.Vae;

/// <summary>A hierarchical VAE whose encoder is the forward process is DDPM: the same bound, term by term.</summary>
public class DiffusionHierarchyTests
{
    private const int Levels = 50, Samples = 32;

    public static TheoryData<string, ReverseVariance, bool> Cases()
    {
        var cases = new TheoryData<string, ReverseVariance, bool>();
        foreach (string device in new[] { "reference", "cpu" })
        {
            foreach (var variance in new[] { ReverseVariance.FixedSmall, ReverseVariance.FixedLarge })
            {
                cases.Add(device, variance, true);
                cases.Add(device, variance, false);
            }
            // Variances of every number of every latent.
            cases.Add(device, ReverseVariance.Learned, false);
        }
        return cases;
    }

    // Float64: what rounding of 1e-16 becomes where a squared difference of means of order 1 is divided by variances down to 1e-4. Float32: the
    // same from 1e-7, where steps are as short as these of equal times are; relative to the terms.
    [Theory]
    [MemberData(nameof(Cases))]
    public void Its_bound_is_that_of_DDPM_term_by_term(string device, ReverseVariance variance, bool exact)
    {
        var process = new CosineSchedule();
        var data = new EightGaussians();
        var x = data.Sample(Samples, new Generator(1), Device.Parse(device));
        bool learns = variance == ReverseVariance.Learned;
        var denoiser = exact
            ? data.Denoiser(process)
            : new Denoiser(new MlpDenoiser(new Generator(2), x.Device, width: 16, outputs: learns ? 4 : 2).Forward, process, learnsVariance: learns);
        double[] times = TimeGrid.Uniform(process, Levels);
        var hierarchy = DiffusionHierarchy.Of(denoiser, [2], times, Decoder.Gaussian, variance, x.Device);
        Assert.Equal(Levels, hierarchy.Levels);

        var terms = hierarchy.Terms(x, new Generator(3));
        // DDPM's bound draws x_t from q(x_t | x_0) by one noise for each time; these are the noises that lead to the hierarchy's latents.
        var noise = new RecordedNoise(terms.Latents.Select((z, i) => (z - x * process.Alpha(times[i])) / process.Sigma(times[i])));
        var expected = VariationalBound.Evaluate(denoiser, x, times, noise, Decoder.Gaussian, variance);
        var actual = terms.Read();

        Assert.Equal(0, noise.Left);
        double tolerance = device == "reference" ? 1e-10 : 1e-5;
        Near(expected.Prior, actual.Prior);
        Assert.Equal(expected.Steps.Count, actual.Steps.Count);
        for (int i = 0; i < expected.Steps.Count; i++)
            Near(expected.Steps[i], actual.Steps[i]);
        Near(expected.Reconstruction, actual.Reconstruction);
        Near(expected.Total, actual.Total);
        for (int i = 0; i < Samples; i++)
            Near(expected.PerSample[i], actual.PerSample[i]);

        void Near(double a, double b) => Assert.InRange(Math.Abs(a - b), 0, tolerance * Math.Max(1, Math.Abs(a)));
    }

    /// <summary>
    /// Many ways from the noise to a point bring the bound down to the chain's own likelihood. With the exact denoiser a chain of short steps
    /// is nearly the data, so that is the data's, from above: 3 standard errors over the points, and what the chain's steps cost.
    /// </summary>
    [Fact]
    public void Many_paths_lead_from_the_bound_to_the_likelihood()
    {
        var data = new EightGaussians();
        var process = new LinearSchedule();
        var x = data.Sample(300, new Generator(1), Device.Cpu);
        double[] times = TimeGrid.LogSnr(process, 200, 0.025);
        var hierarchy = DiffusionHierarchy.Of(data.Denoiser(process), [2], times, Decoder.Gaussian, ReverseVariance.FixedLarge, Device.Cpu);
        double[] truth = data.LogDensity(x).ToDoubleArray();
        double bound = VariationalBound.Evaluate(data.Denoiser(process), x, times, new Generator(2), Decoder.Gaussian, ReverseVariance.FixedLarge).Total;
        double one = Above(1).Mean, many = Above(32).Mean;
        double closed = bound + truth.Average();
        // One path estimates the bound itself; what it scatters by is a few tenths of a nat a point.
        Assert.Equal(closed, one, 0.06);
        Assert.InRange(many, -3 * Above(32).Error, 0.5 * closed);

        (double Mean, double Error) Above(int paths)
        {
            double[] each = [.. hierarchy.ImportanceWeighted(x, paths, new Generator(3)).ToDoubleArray().Zip(truth, (nll, logDensity) => nll + logDensity)];
            double mean = each.Average();
            return (mean, Math.Sqrt(each.Average(value => (value - mean) * (value - mean)) / each.Length));
        }
    }

    [Fact]
    public void The_noises_that_lead_to_its_latents_are_standard_normal()
    {
        // Drawn from the top down, every latent has the forward process's marginal: 6 standard errors of the mean and of the variance.
        var process = new LinearSchedule();
        var x = new EightGaussians().Sample(4000, new Generator(1), Device.Cpu);
        double[] times = TimeGrid.Uniform(process, 4);
        var hierarchy = DiffusionHierarchy.Of(new EightGaussians().Denoiser(process), [2], times, Decoder.Gaussian, device: Device.Cpu);
        var latents = hierarchy.Terms(x, new Generator(2)).Latents;
        for (int i = 0; i < latents.Count; i++)
        {
            var noise = (latents[i] - x * process.Alpha(times[i])) / process.Sigma(times[i]);
            Assert.Equal(0, noise.Mean().Item(), 6 / Math.Sqrt(noise.Count));
            Assert.Equal(1, noise.Square().Mean().Item(), 6 * Math.Sqrt(2.0 / noise.Count));
        }
    }

    [Fact]
    public void Sampling_it_is_ancestral_sampling()
    {
        var process = new CosineSchedule();
        var denoiser = new EightGaussians().Denoiser(process);
        double[] times = TimeGrid.Uniform(process, 20);
        var hierarchy = DiffusionHierarchy.Of(denoiser, [2], times, Decoder.Gaussian, device: Device.Reference);
        var recorded = Enumerable.Range(0, 20).Select(i => Tensor.Randn(new Generator(7, (ulong)i), [8, 2], Device.Reference)).ToArray();
        var z = hierarchy.Sample(8, new RecordedNoise(recorded));
        // z_1 is the sampler's state before its last step.
        var expected = Sampler.Ddpm(denoiser, recorded[0], times[..^1], new RecordedNoise(recorded[1..]));
        double[] a = expected.ToDoubleArray(), b = z.ToDoubleArray();
        for (int i = 0; i < a.Length; i++)
            Assert.Equal(a[i], b[i], 1e-10);
    }

    [Fact]
    public void Times_that_leave_levels_out_are_named()
    {
        var denoiser = new EightGaussians().Denoiser(new CosineSchedule());
        Assert.Contains("0.5", Assert.Throws<ArgumentException>(() => DiffusionHierarchy.Of(denoiser, [2], [0.5, 0], Decoder.Gaussian)).Message);
        Assert.Contains("0.25", Assert.Throws<ArgumentException>(() => DiffusionHierarchy.Of(denoiser, [2], [1, 0.25], Decoder.Gaussian)).Message);
    }
}
