using System.Text.Json;
using System.Text.Json.Nodes;
using RawDiffusion.Backends;
using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Tests.Golden;

/// <summary>
/// Trajectories of diffusers, k-diffusion and score_sde_pytorch with the exact denoiser of eight Gaussians and the noise that they drew, in
/// float64: tests/golden/samplers.json. Ours go the same way, with the same number of draws.
/// </summary>
public class GoldenSamplerTests
{
    private static readonly EightGaussians s_data = new();
    private static readonly Lazy<Dictionary<string, JsonNode>> s_cases = new(() =>
        JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "golden", "samplers.json")))!["cases"]!.AsArray()
            .ToDictionary(node => node!["name"]!.GetValue<string>(), node => node!));

    public static TheoryData<string> Names => [.. s_cases.Value.Keys];

    [Fact]
    public void There_are_31_trajectories() => Assert.Equal(31, s_cases.Value.Count);

    // Relative to the size of the states, which is up to 50. 1e-10: what float64 leaves of steps that divide by the smallest sigma. In float32 the states, up to 50 in size, have 24 bits.
    [Theory]
    [MemberData(nameof(Names))]
    public void The_reference_device_reproduces_it(string name) => Compare(s_cases.Value[name], Device.Reference, 1e-10);

    [Theory]
    [MemberData(nameof(Names))]
    public void Float32_reproduces_it(string name) => Compare(s_cases.Value[name], Device.Cpu, 1e-5);

    private static void Compare(JsonNode golden, Backend device, double tolerance)
    {
        string name = golden["name"]!.GetValue<string>();
        double[][] expected = golden["states"].Deserialize<double[][]>()!;
        Shape shape = [golden["points"]!.GetValue<int>(), golden["dims"]!.GetValue<int>()];
        var noise = new RecordedNoise(Used(golden).Select(values => Tensor.From(values, shape, device)));
        var x = Tensor.From(golden["x_init"].Deserialize<double[]>()!, shape, device);
        var states = new List<double[]>();
        Run(golden, name, x, noise, progress => states.Add(progress.State.ToDoubleArray()));
        Assert.Equal(0, noise.Left);

        if (golden["times"] is not null)
        {
            // Every tenth state and, instead of the last one with its noise, the mean that it is drawn around.
            states = [.. states.Where((_, i) => i % 10 == 0), states[^1]];
            expected = [.. expected[..^2], expected[^1]];
        }
        if (name.StartsWith("heun_churn", StringComparison.Ordinal))
            AddChurnOfTheNextStep(golden, states);
        Assert.Equal(expected.Length, states.Count);
        for (int i = 0; i < expected.Length; i++)
        {
            double scale = Math.Max(1, expected[i].Max(Math.Abs));
            for (int j = 0; j < shape.Count; j++)
            {
                double error = Math.Abs(states[i][j] - expected[i][j]);
                Assert.True(error <= tolerance * scale, $"{name}: state {i}, element {j} is {states[i][j]:R}, expected {expected[i][j]:R}");
            }
        }
    }

    /// <summary>k-diffusion shows a state when the next step has already added its noise to it.</summary>
    private static void AddChurnOfTheNextStep(JsonNode golden, List<double[]> states)
    {
        double[] sigmas = golden["sigmas"].Deserialize<double[]>()!;
        double[][] noise = golden["noise"].Deserialize<double[][]>()!;
        var options = golden["options"]!;
        for (int i = 0; i + 1 < states.Count; i++)
        {
            double sigma = sigmas[i + 1];
            if (sigma < options["s_tmin"]!.GetValue<double>() || sigma > options["s_tmax"]!.GetValue<double>())
                continue;
            double higher = sigma * (1 + Math.Min(options["s_churn"]!.GetValue<double>() / states.Count, Math.Sqrt(2) - 1));
            double scale = options["s_noise"]!.GetValue<double>() * Math.Sqrt(higher * higher - sigma * sigma);
            for (int j = 0; j < states[i].Length; j++)
                states[i][j] += scale * noise[i + 1][j];
        }
    }

    /// <summary>The recorded noise without what was drawn and thrown away: k-diffusion draws for steps without churn too, score_sde for the last one.</summary>
    private static IEnumerable<double[]> Used(JsonNode golden)
    {
        double[][] noise = golden["noise"].Deserialize<double[][]>()!;
        string sampler = golden["name"]!.GetValue<string>().Split('/')[0];
        if (sampler is "euler" or "heun")
            return [];
        if (sampler == "heun_churn")
        {
            double[] sigmas = golden["sigmas"].Deserialize<double[]>()!;
            double smallest = golden["options"]!["s_tmin"]!.GetValue<double>(), largest = golden["options"]!["s_tmax"]!.GetValue<double>();
            return noise.Where((_, i) => sigmas[i] >= smallest && sigmas[i] <= largest);
        }
        if (sampler == "ddim")
            return golden["eta"]!.GetValue<double>() == 0 ? [] : noise[..^1];
        return golden["times"] is null ? noise : noise[..^1];
    }

    private static void Run(JsonNode golden, string name, Tensor x, NoiseSource noise, Action<SamplerProgress> watch)
    {
        string sampler = name.Split('/')[0];
        if (golden["alpha_bar_from_to"].Deserialize<double[][]>() is { } alphaBar)
        {
            var process = new Table([.. alphaBar.Select(step => step[0]), 1]);
            double[] times = TimeGrid.Uniform(process, alphaBar.Length);
            if (sampler == "ddim")
                Sampler.Ddim(Exact(process), x, times, noise, golden["eta"]!.GetValue<double>(), callback: watch);
            else
                Sampler.Ddpm(Exact(process), x, times, noise, name.EndsWith("large", StringComparison.Ordinal) ? ReverseVariance.FixedLarge : ReverseVariance.FixedSmall, callback: watch);
        }
        else if (golden["sigmas"].Deserialize<double[]>() is { } sigmas)
        {
            var denoiser = Exact(new EdmProcess());
            var churn = golden["options"]!["s_churn"] is null
                ? default
                : new Sampler.Churn(Option("s_churn"), Option("s_tmin"), Option("s_tmax"), Option("s_noise"));
            _ = sampler switch
            {
                "euler" => Sampler.Euler(denoiser, x, sigmas, noise, churn, watch),
                "heun" or "heun_churn" => Sampler.Heun(denoiser, x, sigmas, noise, churn, watch),
                "euler_ancestral" => Sampler.Ddim(denoiser, x, sigmas, noise, eta: 1, callback: watch),
                "dpmpp_2m" => Sampler.DpmSolver2M(denoiser, x, sigmas, watch),
                "dpmpp_2s_ancestral" => Sampler.DpmSolver2S(denoiser, x, sigmas, noise, eta: 1, watch),
                "dpmpp_2m_sde" => Sampler.DpmSolverSde2M(denoiser, x, sigmas, noise, callback: watch),
                _ => throw new InvalidOperationException(name),
            };
        }
        else
        {
            RunSde(golden, name, x, noise, watch);
        }

        double Option(string key) => golden["options"]![key]!.GetValue<double>();
    }

    private static void RunSde(JsonNode golden, string name, Tensor x, NoiseSource noise, Action<SamplerProgress> watch)
    {
        double[] times = golden["times"].Deserialize<double[]>()!;
        int n = times.Length;
        ForwardProcess process = name.Split('/')[1] switch
        {
            "vp" => new LinearSchedule(),
            "subvp" => new SubVariancePreserving(),
            _ => new VarianceExploding(0.02, 20),
        };
        if (name.EndsWith("euler_maruyama", StringComparison.Ordinal))
        {
            Sampler.EulerMaruyama(Exact(process), x, [.. times, 0], noise, stepSize: 1.0 / n, watch);
            return;
        }
        // Its forward kernels are those of N steps from 0 to 1, its scores those of times that end a little above 0.
        var steps = new ReverseStep[n];
        for (int k = 0; k < n; k++)
        {
            int i = n - 1 - k;
            double at = (double)i / (n - 1), beta = process is LinearSchedule linear ? linear.Beta(at) / n : 0;
            steps[k] = process is VarianceExploding
                ? new(times[k], 1, Math.Pow(process.Sigma(at), 2) - (i == 0 ? 0 : Math.Pow(process.Sigma((i - 1.0) / (n - 1)), 2)))
                : new(times[k], Math.Sqrt(1 - beta), beta);
        }
        bool corrected = golden["corrector_snr"] is not null;
        Sampler.PredictorCorrector(
            Exact(process), x, steps, noise, corrected ? 1 : 0, corrected ? golden["corrector_snr"]!.GetValue<double>() : 1, watch);
    }

    private static Denoiser Exact(ForwardProcess process) => s_data.Denoiser(process);

    /// <summary>A variance-preserving process at those times only: alpha_bar at 1, 1 - 1/n, ..., 0.</summary>
    private sealed class Table(double[] alphaBar) : ForwardProcess
    {
        public override string Name => "table";

        public override double Alpha(double t) => Math.Sqrt(At(t));

        public override double Sigma(double t) => Math.Sqrt(1 - At(t));

        public override double Drift(double t) => throw new NotSupportedException();

        public override double DiffusionSquared(double t) => throw new NotSupportedException();

        private double At(double t)
        {
            double index = (1 - t) * (alphaBar.Length - 1);
            Assert.Equal(Math.Round(index), index, 1e-9);
            return alphaBar[(int)Math.Round(index)];
        }
    }
}
