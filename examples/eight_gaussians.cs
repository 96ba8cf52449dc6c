// A DDPM on eight Gaussians, written out: data, forward process, loss, training loop, two samplers, how good they are.
//   dotnet run examples/eight_gaussians.cs
#:project ../src/RawDiffusion.Diffusion/RawDiffusion.Diffusion.csproj
#:property PublishAot=false

using RawDiffusion;
using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Optim;

const int Steps = 3000, Batch = 512;
var generator = new Generator(seed: 0);
var data = new EightGaussians();

// x_t = alpha(t) x_0 + sigma(t) eps, in a thousand steps; the network learns to say eps.
var process = new LinearSchedule();
var schedule = new DiscreteSchedule(process);
var model = new MlpDenoiser(generator);
var optimizer = new AdamW(model.NamedParameters(), learningRate: 2e-3);
var ema = new Ema(model, decay: 0.995);

for (int step = 0; step < Steps; step++)
{
    using var scope = new MemoryScope();
    var x0 = data.Sample(Batch, generator);
    var (alpha, sigma, time) = schedule.Draw(Batch, generator);
    var (xt, eps) = F.ForwardDiffusion(x0, alpha, sigma, generator);
    var loss = F.MseLoss(model.Forward(xt, time), eps);

    optimizer.ZeroGrad();
    loss.Backward();
    optimizer.LearningRate = 2e-3 * Schedule.Cosine(step, Steps);
    optimizer.Step(ema);
    if ((step + 1) % 500 == 0)
        Console.WriteLine($"step {step + 1}: loss {loss.Item():0.0000}");
}

ema.CopyTo(model);
var denoiser = new Denoiser(model.Forward, process);
var noise = Sampler.Prior(process, [5000, 2], generator);
var ancestral = Sampler.Ddpm(denoiser, noise, TimeGrid.Uniform(process, 200), generator);
var ddim = Sampler.Ddim(denoiser, noise, TimeGrid.Uniform(process, 50), generator);

var fresh = data.Sample(5000, generator);
Console.WriteLine($"sliced Wasserstein to fresh data: DDPM, 200 steps {SlicedWasserstein.Distance(ancestral, fresh):0.000}, "
    + $"DDIM, 50 steps {SlicedWasserstein.Distance(ddim, fresh):0.000}, "
    + $"two data sets {SlicedWasserstein.Distance(data.Sample(5000, generator), fresh):0.000}");
