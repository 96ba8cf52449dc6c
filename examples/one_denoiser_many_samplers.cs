// One denoiser, known exactly, and every sampler: what differs is how often they ask it. Half a minute, no data, no network.
//   dotnet run examples/one_denoiser_many_samplers.cs
#:project ../src/RawDiffusion.Diffusion/RawDiffusion.Diffusion.csproj
#:property PublishAot=false

using RawDiffusion;
using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

// Eight Gaussians on a circle. The best possible answer to "what was x_0?" is a sum of eight terms, so there is nothing to learn and
// no network's error: whatever is wrong with the samples is the sampler's own.
var data = new EightGaussians();
var process = new CosineSchedule();
var denoiser = data.Denoiser(process);
const int Count = 2000;
double floor = SlicedWasserstein.Floor(data, Count, projections: 200);
Console.WriteLine($"{Count} samples; distances are sliced Wasserstein in units of that between two sets of data ({floor:0.000})");

// All of them walk a falling list of times. Here its steps are equal in log-SNR, which suits smooth methods.
double[] Times(int steps) => TimeGrid.LogSnr(process, steps, smallest: 0.01);

(string Name, Func<Tensor, int, Generator, Tensor> Sample)[] samplers =
[
    // The two of discrete diffusion: noise is added again after each step, or not.
    ("DDPM", (x, n, g) => Sampler.Ddpm(denoiser, x, Times(n), g)),
    ("DDIM", (x, n, g) => Sampler.Ddim(denoiser, x, Times(n), g)),
    // Euler's method on the probability flow is DDIM under another name: the same numbers.
    ("Euler on the flow", (x, n, g) => Sampler.Euler(denoiser, x, Times(n), g)),
    // Second order: by asking twice a step, or by remembering the last answer.
    ("Heun", (x, n, g) => Sampler.Heun(denoiser, x, Times((n + 1) / 2), g)),
    ("DPM-Solver++ 2S", (x, n, g) => Sampler.DpmSolver2S(denoiser, x, Times((n + 1) / 2), g)),
    ("DPM-Solver++ 2M", (x, n, g) => Sampler.DpmSolver2M(denoiser, x, Times(n))),
    ("SDE-DPM-Solver++ 2M", (x, n, g) => Sampler.DpmSolverSde2M(denoiser, x, Times(n), g)),
    // The reverse SDE as it stands, and with steps of Langevin dynamics between that repair its errors.
    ("Euler-Maruyama", (x, n, g) => Sampler.EulerMaruyama(denoiser, x, TimeGrid.Quadratic(process, n), g)),
    ("predictor-corrector", (x, n, g) => Sampler.PredictorCorrector(denoiser, x, ReverseStep.Between(process, Times(n / 2)), g)),
];

int[] budgets = [10, 20, 50, 200];
Console.WriteLine($"\n{"evaluations",-22}{string.Concat(budgets.Select(n => $"{n,8}"))}");
foreach (var (name, sample) in samplers)
{
    Console.Write($"{name,-22}");
    foreach (int budget in budgets)
    {
        using var scope = new MemoryScope();
        // The same start for everyone.
        var generator = new Generator(seed: 1);
        int before = denoiser.Evaluations;
        var samples = sample(Sampler.Prior(process, [Count, 2], generator), budget, generator);
        if (Math.Abs(denoiser.Evaluations - before - budget) > 1)
            throw new InvalidOperationException($"{name} asked {denoiser.Evaluations - before} times, not {budget}");
        Console.Write($"{SlicedWasserstein.Distance(samples, data.Sample(Count, new Generator(2)), projections: 200) / floor,8:0.00}");
    }
    Console.WriteLine();
}

// A sampler that chooses its own steps needs a tolerance instead of a number of them.
foreach (double tolerance in new[] { 1e-2, 1e-4 })
{
    using var scope = new MemoryScope();
    int before = denoiser.Evaluations;
    var start = Sampler.Prior(process, [Count, 2], new Generator(1));
    var samples = Sampler.ProbabilityFlow(denoiser, start, process.EndTime, process.TimeOf(0.01), new OdeTolerance(tolerance, tolerance));
    double distance = SlicedWasserstein.Distance(samples, data.Sample(Count, new Generator(2)), projections: 200) / floor;
    Console.WriteLine($"Dormand-Prince, tolerance {tolerance:0.####}: {distance:0.00} after {denoiser.Evaluations - before} evaluations");
}
