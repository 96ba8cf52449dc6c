// Diffusion as a hierarchical VAE with a fixed encoder, beside VAEs that learn theirs: one class, one bound, its terms.
//   dotnet run examples/vae.cs
#:project ../src/RawDiffusion.Diffusion/RawDiffusion.Diffusion.csproj
#:property PublishAot=false

using RawDiffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Vae;
using RawDiffusion.Optim;

const int Steps = 3000, Batch = 512;
var data = new EightGaussians();
var test = data.Sample(2000, new Generator(seed: 1));
Console.WriteLine($"-ln p of the data themselves: {-data.LogDensity(test).Mean().Item():0.00} nat");

// Two latents, and two levels of them; x is what the decoder says plus noise of a learned variance.
foreach (int[] latents in new int[][] { [2], [2, 2] })
{
    var generator = new Generator(seed: 0);
    var vae = new MlpVae(generator, dimensions: 2, latents, VaeLikelihood.Gaussian, width: 128);
    var optimizer = new Adam(vae, learningRate: 2e-3);
    for (int step = 0; step < Steps; step++)
    {
        using var scope = new MemoryScope();
        optimizer.ZeroGrad();
        vae.Model.Terms(data.Sample(Batch, generator), generator).Sum().Mean().Backward();
        optimizer.LearningRate = 2e-3 * Schedule.Cosine(step, Steps);
        optimizer.Step();
    }
    Print($"VAE, {latents.Length} level{(latents.Length == 1 ? "" : "s")}", vae.Model.Bound(test, generator));
}

// A hundred levels whose encoder adds noise and learns nothing; the decoder's steps are those of the exact denoiser.
var process = new CosineSchedule();
var diffusion = DiffusionHierarchy.Of(data.Denoiser(process), [2], TimeGrid.LogSnr(process, 100, 2e-3), Decoder.Gaussian);
Print("diffusion, 100 levels", diffusion.Bound(test, new Generator(seed: 2)));

static void Print(string name, BoundTerms terms) => Console.WriteLine(
    $"{name}: {terms.Total:0.00} = L_T {terms.Prior:0.00} + L_(t-1) {terms.Steps.Sum():0.00} + L_0 {terms.Reconstruction:0.00} nat");
