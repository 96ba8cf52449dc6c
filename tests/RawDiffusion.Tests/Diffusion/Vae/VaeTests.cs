using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Vae;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests.Diffusion.Vae;

/// <summary>VAEs beside likelihoods that are known in closed form.</summary>
public class VaeTests
{
    [Fact]
    public void The_divergence_of_Gaussians_is_the_mean_of_their_log_ratio()
    {
        var device = Device.Reference;
        var q = new DiagonalGaussian(Tensor.From([0.3, -1.0], [1, 2], device), Tensor.From([-0.5, 0.4], [1, 2], device));
        var p = new DiagonalGaussian(Tensor.From([-0.2, 0.5], [1, 2], device), Tensor.From([0.7, 0.1], [1, 2], device));
        const int Count = 40_000;
        var z = q.Draw(Count, new Generator(1));
        double[] ratios = (q.LogDensity(z) - p.LogDensity(z)).ToDoubleArray();
        double mean = ratios.Average(), error = Math.Sqrt(ratios.Sum(r => (r - mean) * (r - mean)) / Count / Count);
        Assert.Equal(q.Divergence(p).Item(), mean, 4 * error);
        Assert.Equal(0, q.Divergence(q).Item(), 1e-15);
    }

    [Fact]
    public void Where_the_encoder_is_the_posterior_every_draw_gives_the_likelihood()
    {
        // z_2 ~ N(0, 1), z_1 ~ N(a z_2, v), x ~ N(b z_1, w): all marginals and posteriors are Gaussians, x ~ N(0, b^2 (a^2 + v) + w).
        const double A = 0.8, V = 0.5, B = -1.7, W = 0.3, Z1 = A * A + V, X = B * B * Z1 + W;
        var device = Device.Reference;
        DiagonalGaussian Of(Tensor mean, double variance) => new(mean, Tensor.Full([1], Math.Log(variance), device));
        var model = new HierarchicalVae(
            2,
            x => (level, above, prior) => above is null
                ? Of(x * (A * B / X), 1 - A * B * A * B / X)
                : prior.Times(Of(x / B, W / (B * B))),
            (level, above) => above is null ? Of(Tensor.Zeros([1, 1], device), 1) : Of(above * A, V),
            (x, z) => Of(z * B, W).LogDensity(x));
        var x = Tensor.Randn(new Generator(1), [50, 1], device) * 2;
        double[] expected = Of(Tensor.Zeros([1, 1], device), X).LogDensity(x).ToDoubleArray();
        foreach (int k in new[] { 1, 7 })
        {
            double[] actual = model.ImportanceWeighted(x, k, new Generator(2)).ToDoubleArray();
            for (int i = 0; i < expected.Length; i++)
                Assert.Equal(-expected[i], actual[i], 1e-10);
        }
        // The bound is the same on average, and its divergences that are in closed form leave scatter: 4 standard errors.
        var many = x.Reshape(1, 50, 1).BroadcastTo([400, 50, 1]).Reshape(20_000, 1);
        var bound = model.Bound(many, new Generator(3));
        Assert.Equal(-expected.Average(), bound.Total, 4 * bound.StandardError);
        Assert.Single(bound.Steps);
    }

    [Fact]
    public void More_draws_make_the_importance_weighted_bound_tighter()
    {
        // A fresh network on bits: the encoder is wrong, so the bounds are apart by much more than their scatter.
        var model = new MlpVae(new Generator(1), 8, [3, 2], VaeLikelihood.Bernoulli, width: 16, device: Device.Cpu);
        foreach (var parameter in model.Parameters())
            parameter.CopyFrom(parameter * 1.25);
        var x = Tensor.Rand(new Generator(2), [500, 8], device: Device.Cpu).Gt(0.5);
        using var noGrad = new NoGrad();
        var bound = model.Model.Bound(x, new Generator(3));
        double[] weighted = [.. new[] { 1, 5, 50 }.Select(k => model.Model.ImportanceWeighted(x, k, new Generator(4)).Mean().Item())];
        // Two estimates of one bound: six standard errors.
        Assert.Equal(bound.Total, weighted[0], 6 * bound.StandardError);
        Assert.True(weighted[0] > weighted[1] + 0.01 && weighted[1] > weighted[2] + 0.01, string.Join(", ", weighted));
    }

    [Fact]
    public void A_linear_VAE_learns_probabilistic_principal_components()
    {
        // The largest likelihood of Gaussian data with two components has a closed form (Tipping and Bishop 1999), and the bound of a linear
        // VAE reaches it: the posterior at the optimum has independent coordinates (Lucas et al. 2019).
        const int Count = 500, Dimensions = 4, Latents = 2;
        double[] deviations = [2.0, 1.2, 0.5, 0.5];
        var device = Device.Cpu;
        var rotation = Tensor.From([0.5, 0.5, 0.5, 0.5, 0.5, -0.5, 0.5, -0.5, 0.5, 0.5, -0.5, -0.5, 0.5, -0.5, -0.5, 0.5], [4, 4], device);
        var x = (Tensor.Randn(new Generator(1), [Count, Dimensions], device) * Tensor.From(deviations, [1, Dimensions], device)).MatMul(rotation);
        double optimum = PrincipalComponents.NegativeLogLikelihood(x, Latents);

        var vae = new MlpVae(new Generator(2), Dimensions, [Latents], VaeLikelihood.Gaussian, layers: 0, device: device);
        var optimizer = new Adam(vae, 0.03);
        var noise = new Generator(3);
        const int Steps = 600;
        for (int step = 0; step < Steps; step++)
        {
            using var scope = new MemoryScope();
            optimizer.ZeroGrad();
            vae.Model.Terms(x, noise).Sum().Mean().Backward();
            optimizer.LearningRate = 0.03 * Schedule.Cosine(step, Steps, warmup: 20);
            optimizer.Step();
        }
        double bound = 0;
        for (int draw = 0; draw < 100; draw++)
            bound += vae.Model.Bound(x, noise).Total / 100;
        // From above: no bound is below the optimum but for the scatter of 50,000 draws, whose standard error is below 0.005.
        Assert.InRange(bound - optimum, -0.01, 0.02);
    }

    [Fact]
    public void Levels_start_as_a_VAE_of_the_lowest_one_and_learn_what_to_expect_of_it()
    {
        var model = new MlpVae(new Generator(1), 8, [3, 2], VaeLikelihood.Bernoulli, width: 16, upperWidth: 6, device: Device.Cpu);
        var optimizer = new Adam(model, 0.01);
        var x = Tensor.Rand(new Generator(2), [20, 8], device: Device.Cpu).Gt(0.5);
        // Two draws of z_2: both the prior of z_1 and what is inferred about it are as if there were none.
        LevelTerms first = model.Model.Terms(x, new Generator(3)), second = model.Model.Terms(x, new Generator(4));
        Assert.NotEqual(first.Latents[0].ToDoubleArray(), second.Latents[0].ToDoubleArray());
        Assert.Equal(first.Divergences[1].ToDoubleArray(), second.Divergences[1].ToDoubleArray());
        Assert.All(model.Priors[0].Forward(first.Latents[0]).ToDoubleArray(), value => Assert.Equal(0, value));

        // One step, and it is no longer so.
        first.Sum().Mean().Backward();
        optimizer.Step();
        Assert.NotEqual(
            model.Model.Terms(x, new Generator(3)).Divergences[1].ToDoubleArray(), model.Model.Terms(x, new Generator(4)).Divergences[1].ToDoubleArray());
    }

    [Fact]
    public void Levels_without_latents_are_refused()
    {
        Assert.Contains("[3, 0]", Assert.Throws<ArgumentException>(() => new MlpVae(new Generator(1), 8, [3, 0], VaeLikelihood.Bernoulli)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => new HierarchicalVae(0, _ => null!, (_, _) => default, (x, _) => x));
    }
}
